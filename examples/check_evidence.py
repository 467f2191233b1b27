"""Checks a file of `nomiqon ledger export` with the agent's public keys alone: no gateway, no database, none of its code.

    python3 check_evidence.py evidence.ndjson [caid_… the keys that you know to be the agent's]

It shows that the lines are one unbroken chain, from the hash that the file begins with to the one that it ends with, and
that each reservation has a spend token, signed by the agent's own key, which says what the line says of it. Whoever has
kept one of those hashes knows that nothing was written anew since. Needs PyNaCl (pip install pynacl), or cryptography.
"""

import base64
import hashlib
import json
import sys
from decimal import Decimal

try:
    from nacl.signing import VerifyKey

    def is_signed(key, signature, message):
        try:
            VerifyKey(key).verify(message, signature)
            return True
        except Exception:
            return False
except ImportError:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    def is_signed(key, signature, message):
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
            return True
        except Exception:
            return False

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def key_of(caid):
    """The 32 bytes of the public key that a CAID is."""
    number = 0
    for character in caid.removeprefix("caid_"):
        number = number * 58 + ALPHABET.index(character)
    return number.to_bytes(32, "big")


def decode(segment):
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def require(condition, what):
    if not condition:
        sys.exit(f"wrong: {what}")


def check_token(line, caids, where):
    """The signature, and what it covers against what the ledger wrote."""
    caid, token_max, ref, token_id, exp, session, token = (line[i] for i in (12, 18, 24, 25, 26, 27, 28))
    header, claims, signature = token.split(".")
    require(caid in caids and json.loads(decode(header))["kid"] == caid, f"{where}: the key is not the agent's")
    require(is_signed(key_of(caid), decode(signature), f"{header}.{claims}".encode()), f"{where}: the signature")
    said = json.loads(decode(claims))
    limit = None if "max" not in said else int(Decimal(said["max"]) * 10**9)
    require((said["jti"], said["exp"], said.get("use", "once") == "session", limit, said.get("ref"))
            == (token_id, exp, session, token_max, ref or None), f"{where}: the token says something else")
    require(line[4] < exp * 10**6, f"{where}: the token had expired")


def main(path, known):
    with open(path, encoding="utf-8") as file:
        header, *entries, end = (json.loads(text) for text in file)
    require(header["format"] == "nomiqon-evidence" and header["version"] == 1, "this is no evidence of version 1")
    caids = known or header["caids"]
    seq, hash_before, tokens = header["opening"]["seq"], bytes.fromhex(header["opening"]["hash"]), 0
    for entry in entries:
        where = f"line {seq + 1}"
        hash_before = hashlib.sha256(hash_before + entry["line"].encode()).digest()
        require(hash_before.hex() == entry["hash"], f"{where}: the hash")
        line = json.loads(entry["line"])
        require(line[1] == seq + 1 and line[2] == header["agent"], f"{where}: another number or agent")
        seq += 1
        if line[0] == "reserve":
            check_token(line, caids, where)
            tokens += 1
    require(end.get("end") == {"seq": seq, "hash": hash_before.hex()}, "the file was cut")
    print(f"good: {header['agent']}, {header['day']}, {len(entries)} lines, {tokens} signed tokens, "
          f"up to line {seq}, hash {hash_before.hex()}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
