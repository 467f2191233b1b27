#!/usr/bin/env python3
"""Makes the tables of exchanges beside it: what a provider was asked, what it answered, and what that costs.

    make.py             writes the tables
    make.py --check     says whether they are as this would write them

What is expected is worked out here, from each table's price book with decimal numbers, by what metering.md and the
providers' documentation say; the gateway's code is never asked. Needs the packages brotli and zstandard, and their
compressed answers may differ between versions of these: then --check does, too.
"""

import importlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLES = ("openai_chat", "openai_other", "anthropic", "gemini", "compatible", "search")


def rendered(name):
    documents = importlib.import_module(name)
    tables = documents.tables if hasattr(documents, "tables") else [documents.table]
    lines = ",\n".join(json.dumps(table.document()["prices"], ensure_ascii=False) for table in tables[:1])
    exchanges = ",\n".join(json.dumps(exchange, ensure_ascii=False)
                           for table in tables for exchange in table.exchanges)
    return f'{{"prices": {lines},\n"exchanges": [\n{exchanges}\n]}}\n'


def main():
    check = sys.argv[1:] == ["--check"]
    wrong = []
    for name in TABLES:
        file = HERE / f"{name}.json"
        text = rendered(name)
        if not check:
            file.write_text(text, encoding="utf-8")
            print(f"{file.name}: {text.count(chr(10)) - 3} exchanges")
        elif not file.exists() or file.read_text(encoding="utf-8") != text:
            wrong.append(file.name)
    if wrong:
        sys.exit("not as make.py would write them: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
