"""Writes what the fuzzers start from: make_corpus.py <spend_tokens.json> <directory>."""

import base64
import hashlib
import json
import pathlib
import sys

HOSTS = [
    "api.openai.com", "API.OpenAI.com.", "bücher.example:443", "xn--bcher-kva.example", "例え。jp", "127.0.0.1:8443",
    "127.1", "0x7f.1", "2130706433", "010.0.0.1", "[::1]:443", "[::ffff:127.0.0.1]", "[fe80::1%eth0]", "_a.b-c.d",
]
DOCUMENTS = [
    '{"a":[1,-2,3.5e1,true,false,null,"\\u00e9\\ud83d\\ude00",{}]}', '{"a":1,"a":2}', "// c\n[1]", "/* c */ 1",
    "18446744073709551616", "1e999", '"\\ud800"', "[" * 70 + "]" * 70,
]


def decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def write(directory: pathlib.Path, seeds: list[bytes]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (directory / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def main() -> None:
    vectors, corpus = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
    tokens = [vector["token"] for vector in vectors["vectors"]]
    claims = [decoded(vector["token"].split(".")[1]) for vector in vectors["vectors"] if vector["expect"] == "ok"]
    write(corpus / "token", [token.encode() for token in tokens] + claims)
    write(corpus / "json", claims + [document.encode() for document in DOCUMENTS])
    write(corpus / "host", [host.encode() for host in HOSTS])


main()
