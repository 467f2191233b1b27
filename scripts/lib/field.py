#!/usr/bin/env python3
"""field.py [--where MEMBER=VALUE] PATH...: prints members of the JSON document on standard input, such as
`wallet.balance caids.0.caid`. --where takes the one row of a list whose member has that value."""

import json
import sys

document = json.load(sys.stdin)
paths = sys.argv[1:]
if paths and paths[0] == "--where":
    member, _, wanted = paths[1].partition("=")
    document = next(row for row in document if wanted == str(row[member]))
    paths = paths[2:]
values = []
for path in paths:
    value = document
    for key in path.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    values.append(value if isinstance(value, str) else json.dumps(value))
print(*values)
