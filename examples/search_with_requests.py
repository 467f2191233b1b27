#!/usr/bin/env python3
"""One search with `requests`. Nothing here knows of the gateway: it is found through the variables that every client
reads, HTTPS_PROXY (with the agent's spend token as user and password) and REQUESTS_CA_BUNDLE."""

import sys

import requests

query = sys.argv[1] if len(sys.argv) > 1 else "spend control"
try:
    answer = requests.get("https://api.search.example/search", params={"q": query}, timeout=20)
except requests.exceptions.ProxyError as error:
    # A refused CONNECT carries the reason in its status line: "Tunnel connection failed: 402 policy_cap_exceeded"
    sys.exit(f"refused: {error}")
answer.raise_for_status()
for result in answer.json()["results"]:
    print(result["title"], result["url"])
