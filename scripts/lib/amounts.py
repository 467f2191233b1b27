#!/usr/bin/env python3
"""amounts.py TERM [+|- TERM]... = TERM ...: exits 0 when every equation holds, in exact decimals.

    amounts.py 2.00 - 1.95 = 0.05    amounts.py 0.1 + 0.2 = 0.3 1 = 1.0
"""

import sys
from decimal import Decimal


def equations(words):
    left, sign, equals = Decimal(0), 1, False
    for word in words:
        if word in ("+", "-"):
            sign = 1 if word == "+" else -1
        elif word == "=":
            equals = True
        elif equals:
            yield left == Decimal(word)
            left, sign, equals = Decimal(0), 1, False
        else:
            left, sign = left + sign * Decimal(word), 1


sys.exit(0 if all(equations(sys.argv[1:])) else 1)
