#!/usr/bin/env python3
"""A streamed chat completion with `httpx`. The gateway is found through HTTPS_PROXY and SSL_CERT_FILE."""

import json
import sys

import httpx

question = {"model": "sample-1", "stream": True, "messages": [{"role": "user", "content": "Who pays for this?"}]}
try:
    with httpx.stream("POST", "https://api.llm.example/v1/chat/completions", json=question, timeout=20) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                choices = json.loads(line.removeprefix("data: "))["choices"]
                print(*(choice["delta"].get("content", "") for choice in choices), sep="", end="", flush=True)
    print()
except httpx.ProxyError as error:
    sys.exit(f"refused: {error}")  # "402 policy_cap_exceeded"
