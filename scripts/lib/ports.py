#!/usr/bin/env python3
"""ports.py WANTED...: prints for each port whether to take it, or a free one in its place, on loopback."""

import socket
import sys

held = []
for wanted in sys.argv[1:]:
    for port in (int(wanted), 0):
        candidate = socket.socket()
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
            candidate.listen()
        except OSError:
            candidate.close()
            continue
        held.append(candidate)  # until the end, so that none is given twice
        break
    else:
        sys.exit("no free port on 127.0.0.1")
print(*(s.getsockname()[1] for s in held))
