"""Sends an answer as the request's X-Sample-* fields want it: slowly, compressed, cut, wrong."""

import json
import socket
import struct
import time
import zlib

MAX_DELAY = 30.0
MAX_HANG = 60.0


class Wishes:
    """What a request asks for of the manner of its answer:

    X-Sample-Delay: S         S seconds before the answer, and between the events or chunks of it
    X-Sample-Status: N        this status, with an error in the API's own form
    X-Sample-Usage: JSON      this in place of the usage; `none` leaves it out
    X-Sample-Words: N         an answer of so many words
    X-Sample-Coding: gzip     or deflate
    X-Sample-Framing: chunked for a JSON answer; or `close`: its end is the connection's
    X-Sample-Length: +N       a Content-Length that is N more (or -N less) than what comes
    X-Sample-Cut: N           the connection ends after N events of a stream, or N bytes of a JSON answer
    X-Sample-Reset: 1         … with a reset, not an orderly end
    X-Sample-Hang: N          no more comes after N events or bytes, for a minute
    X-Sample-Drop: 1          the connection ends before any answer
    X-Sample-Leave: 1         the connection ends behind the answer, which didn't say so
    X-Sample-Trailer: TEXT    a trailer field of that value behind a chunked answer
    X-Sample-Pieces: N        events split into pieces of N bytes, each sent by itself
    """

    def __init__(self, headers):
        self._headers = headers
        self.delay = min(max(self._number("Delay", 0.0, float), 0.0), MAX_DELAY)
        self.status = self._number("Status", 0, int)
        self.usage = self._text("Usage")
        self.words = self._number("Words", 0, int)
        self.coding = self._text("Coding")
        self.framing = self._text("Framing")
        self.lie = self._number("Length", 0, int)
        self.cut = self._number("Cut", None, int)
        self.reset = bool(self._text("Reset"))
        self.hang = self._number("Hang", None, int)
        self.drop = bool(self._text("Drop"))
        self.leave = bool(self._text("Leave"))
        self.trailer = self._text("Trailer")
        self.pieces = self._number("Pieces", 0, int)

    def _text(self, name):
        return self._headers.get(f"X-Sample-{name}", "").strip()

    def _number(self, name, otherwise, kind):
        try:
            return kind(self._text(name))
        except ValueError:
            return otherwise

    def replaced(self, usage):
        """The usage that the answer tells; None: it tells none."""
        if not self.usage:
            return usage
        return None if self.usage == "none" else json.loads(self.usage)


class Broken(Exception):
    """The connection has been ended in the middle of an answer, as was asked for."""


class Sender:
    """Writes one answer to a handler of http.server."""

    def __init__(self, handler, wishes):
        self._handler, self._wishes = handler, wishes
        self._packer = None
        if wishes.coding in ("gzip", "deflate"):
            self._packer = zlib.compressobj(wbits=31 if wishes.coding == "gzip" else 15)

    def document(self, status, document, headers=()):
        data = json.dumps(document, ensure_ascii=False).encode() + b"\n"
        self.whole(status, data, [("Content-Type", "application/json"), *headers])

    def whole(self, status, data, headers=()):
        wishes = self._wishes
        if self._packer is not None:
            data = self._packer.compress(data) + self._packer.flush()
        if wishes.framing == "chunked":
            self._head(status, [*headers, ("Transfer-Encoding", "chunked"), *self._trailer_names()])
            half = len(data) // 2
            for piece in (data[:half], data[half:]):
                self._write(b"%x\r\n%s\r\n" % (len(piece), piece))
                time.sleep(wishes.delay)
            return self._last_chunk()
        if wishes.framing == "close":
            self._handler.close_connection = True
            self._head(status, [*headers, ("Connection", "close")])
        else:
            self._head(status, [*headers, ("Content-Length", str(len(data) + wishes.lie))])
        if wishes.hang is not None:
            self._write(data[:wishes.hang])
            self._hang()
        if wishes.cut is not None:
            self._write(data[:wishes.cut])
            self._break()
        self._write(data)
        if wishes.lie:
            self._break()

    def events(self, events):
        """A stream of server-sent events, each a chunk of its own."""
        wishes = self._wishes
        self._head(200, [("Content-Type", "text/event-stream; charset=utf-8"), ("Cache-Control", "no-cache"),
                         ("Transfer-Encoding", "chunked"), *self._trailer_names()])
        for number, event in enumerate(events):
            if number == wishes.hang:
                self._hang()
            if number == wishes.cut:
                self._break()
            for piece in self._split(self._packed(event.encode())):
                self._write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if wishes.delay:
                time.sleep(wishes.delay)
        if self._packer is not None:
            rest = self._packer.flush()
            self._write(b"%x\r\n%s\r\n" % (len(rest), rest))
        self._last_chunk()

    def _packed(self, data):
        if self._packer is None:
            return data
        return self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)

    def _split(self, data):
        size = self._wishes.pieces
        return [data] if size <= 0 else [data[at:at + size] for at in range(0, len(data), size)]

    def _trailer_names(self):
        return [("Trailer", "X-Sample-Trailer")] if self._wishes.trailer else []

    def _last_chunk(self):
        trailer = f"X-Sample-Trailer: {self._wishes.trailer}\r\n" if self._wishes.trailer else ""
        self._write(b"0\r\n" + trailer.encode() + b"\r\n")

    def _head(self, status, headers):
        if self._wishes.drop:
            self._break()
        if self._wishes.leave:
            self._handler.close_connection = True
        if self._packer is not None:
            headers = [*headers, ("Content-Encoding", self._wishes.coding)]
        self._handler.send_response(status)
        for name, value in headers:
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self._handler.wfile.flush()

    def _write(self, data):
        if self._handler.command == "HEAD":
            return
        self._handler.wfile.write(data)

    def _hang(self):
        self._handler.wfile.flush()
        time.sleep(MAX_HANG)
        self._break()

    def _break(self):
        self._handler.wfile.flush()
        self._handler.close_connection = True
        if self._wishes.reset:
            # A reset, whatever is still under way.
            self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Broken


def data_event(document, name=None):
    text = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    return (f"event: {name}\n" if name else "") + f"data: {text}\n\n"


def tokens(value):
    """A count that depends on what was sent, and on nothing else."""
    return len(json.dumps(value)) // 4 + 1


WORDS = ["Each", " call", " was", " paid", " for", " before", " it", " left", "."]


def words(wishes, limit=None):
    """The words of an answer, and whether the request's limit ended it."""
    count = wishes.words or len(WORDS)
    written = count if limit is None else min(count, limit)
    return [WORDS[n % len(WORDS)] for n in range(written)], written < count


def arguments_for(schema):
    """Something for each member that a tool wants."""
    kinds = {"string": "Zürich", "integer": 7, "number": 1.5, "boolean": True, "array": [], "object": {}}
    properties = (schema or {}).get("properties") or {}
    return {name: kinds.get(str((wanted or {}).get("type", "string")).lower(), "x") for name, wanted in properties.items()}
