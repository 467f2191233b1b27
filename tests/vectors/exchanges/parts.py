"""What the exchanges are made of: prices worked out by hand, and answers as providers put them on the wire."""

import base64
import json
import zlib
from decimal import ROUND_CEILING, Decimal

import brotli
import zstandard

NANO = Decimal("1e-9")
CODINGS = ("identity", "gzip", "deflate", "br", "zstd")


# Money -----------------------------------------------------------------------------------------------------------


def rate_of(book, model, key):
    """A rate of the book, by its own key; `a.b` looks into an object."""
    value = book[model]
    for name in key.split("."):
        value = value[name]
    return Decimal(repr(value))


def cost(book, model, *used, factor="1", extra="0"):
    """Σ count × rate × factor + extra, rounded up to a nano. `used`: pairs of a count and the rate's key."""
    tokens = sum((Decimal(count) * rate_of(book, model, key) for count, key in used), Decimal(0))
    return nano(tokens * Decimal(factor) + Decimal(extra))


def nano(amount):
    return Decimal(amount).quantize(NANO, rounding=ROUND_CEILING)


def text(amount):
    return format(amount, "f")


# What is expected ------------------------------------------------------------------------------------------------


def charge(amount, model=None, **more):
    return {"kind": "cost", "cost": text(amount), **({"model": model} if model else {}), **more}


def nothing(model=None):
    return charge(Decimal(0), model)


def in_full(model=None):
    return {"kind": "in_full", **({"model": model} if model else {})}


def unknown(model=None):
    return {"kind": "unknown", **({"model": model} if model else {})}


def alarm(at_least=Decimal(0), model=None):
    """max(reservation, what can be computed), and a word to the operator."""
    return {"kind": "alarm", "cost": text(at_least), **({"model": model} if model else {})}


def refused(code):
    return {"refusal": code}


# The wire --------------------------------------------------------------------------------------------------------


def dumps(document):
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def compress(coding, pieces):
    """The pieces as a provider sends them: each one flushed."""
    if coding == "identity":
        return list(pieces)
    if coding == "br":
        packer = brotli.Compressor()
        return _packed(pieces, packer.process, packer.flush, packer.finish)
    if coding == "zstd":
        packer = zstandard.ZstdCompressor().compressobj()
        return _packed(pieces, packer.compress, lambda: packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK), packer.flush)
    packer = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    return _packed(pieces, packer.compress, lambda: packer.flush(zlib.Z_SYNC_FLUSH), packer.flush)


def _packed(pieces, add, flush, finish):
    packed = [add(piece) + flush() for piece in pieces]
    if packed:
        packed[-1] += finish()
    return packed


def wire(data):
    try:
        return {"body": data.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(data).decode()}


def answer(status, pieces, content_type, coding="identity", keep=None, keep_bytes=0, headers=()):
    """`keep` pieces and `keep_bytes` of the next one; then the connection breaks. None: all of them, to the end."""
    sent = compress(coding, pieces)
    cut = keep is not None
    if cut:
        rest = sent[keep][:keep_bytes] if keep < len(sent) else b""
        sent = [*sent[:keep], rest]
    fields = [["Content-Type", content_type], *map(list, headers)]
    if coding != "identity":
        fields.append(["Content-Encoding", coding])
    return {"status": status, "headers": fields, **wire(b"".join(sent)), "cut": cut}


def json_answer(document, status=200, coding="identity", cut_at=None, content_type="application/json", headers=()):
    data = dumps(document) if not isinstance(document, bytes) else document
    if cut_at is None:
        return answer(status, [data], content_type, coding, headers=headers)
    return answer(status, [data], content_type, coding, keep=0, keep_bytes=cut_at, headers=headers)


def data_event(document):
    return b"data: " + (dumps(document) if not isinstance(document, bytes) else document) + b"\n\n"


def named_event(document):
    return b"event: " + document["type"].encode() + b"\n" + data_event(document)


def sse(events, **options):
    return answer(options.pop("status", 200), events, "text/event-stream; charset=utf-8", **options)


def request(path, document, method="POST", query="", headers=(), coding=None):
    fields = [["Content-Type", "application/json"], *map(list, headers)]
    data = b"" if document is None else dumps(document) if not isinstance(document, bytes) else document
    if coding:
        data = b"".join(compress(coding, [data]))
        fields.append(["Content-Encoding", coding])
    return {"method": method, "path": path, "query": query, "headers": fields, **wire(data)}


class Table:
    """The exchanges of one meter, with a price book of their own."""

    def __init__(self, meter, book):
        self.meter, self.book, self.exchanges = meter, book, []

    def add(self, name, rules, asked, answered, expected, **more):
        """`more`: terms, at_least and at_most (of the bound), sent (members of the body that goes up), hidden (bytes
        that the client must not see), overrun (the charge may be above the bound)."""
        if any(each["name"] == name for each in self.exchanges):
            raise ValueError(f"two exchanges are named {name!r}")
        for limit in ("at_least", "at_most"):
            if limit in more:
                more[limit] = text(more[limit])
        if "hidden" in more:
            more["hidden"] = more["hidden"].decode()
        exchange = {"name": name, "rules": rules, "meter": self.meter, "request": asked, **more}
        if answered is not None:
            exchange["answer"] = answered
        self.exchanges.append({**exchange, "expected": expected})

    def cost(self, model, *used, **options):
        return cost(self.book, model, *used, **options)

    def document(self):
        return {"prices": self.book, "exchanges": self.exchanges}
