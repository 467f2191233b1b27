#!/usr/bin/env python3
"""A provider to try the gateway on: the APIs of OpenAI, Anthropic, Gemini and Tavily in their real formats, on loopback
only, standard library only.

    POST /v1/chat/completions, /v1/responses, /v1/embeddings    GET /v1/models        sample_provider/openai.py
    POST /v1/messages, /v1/messages/count_tokens                                      sample_provider/anthropic.py
    POST /v1beta/models/{model}:generateContent, …:streamGenerateContent              sample_provider/gemini.py
    POST /search    GET /search?q=...                                                 sample_provider/search.py
    GET  /status/{204, 304, …}, /bytes/{count}, /socket (an upgrade, which echoes)    here

All are served under every host name, over TLS (--cert, --key) and in plain HTTP. Every accepted TCP connection and
every request is one JSON line in --log, connections before anything is read from them: what is not in that file did
not leave the gateway. A request may ask for a slow, broken or wrong answer by its X-Sample-* fields; see
sample_provider/sending.py. With --credential, a request to an API must carry that key in the API's own way, else it
is 401.

It prints one JSON line with its ports when it serves.
"""

import argparse
import base64
import hashlib
import itertools
import json
import signal
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from sample_provider import anthropic, gemini, openai, search
from sample_provider.sending import Broken, Sender, Wishes

MAX_BODY = 8 << 20
MAX_LOGGED_BODY = 64 << 10
MAX_BYTES = 1 << 30


class Log:
    """JSON lines, each written out before the caller goes on."""

    def __init__(self, path):
        self._file = open(path, "a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, event, **fields):
        line = json.dumps({"at": round(time.time(), 3), "event": event, **fields})
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()


class Provider(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    numbers = itertools.count(1)

    def __init__(self, port, log, credentials, context=None):
        self.log = log
        self.credentials = credentials
        self.context = context
        super().__init__(("127.0.0.1", port), Handler)

    def get_request(self):
        sock, address = super().get_request()
        number = next(Provider.numbers)
        self.log.write("connection", connection=number, tls=self.context is not None)
        return sock, (*address, number)

    def finish_request(self, request, client_address):
        # The handshake belongs to the connection's own thread: a silent client must not hold up the others.
        if self.context is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(10)
        try:
            tls = self.context.wrap_socket(request, server_side=True)
        except OSError as error:
            self.log.write("handshake_failed", connection=client_address[2], why=str(error))
            return
        with tls:
            tls.settimeout(60)
            super().finish_request(tls, client_address)

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self.log.write("connection_lost", connection=client_address[2], why=str(error))
        else:
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sample-provider"
    sys_version = ""
    disable_nagle_algorithm = True
    is_broken = False

    def finish(self):
        super().finish()
        # An answer that ends with its connection is whole only where TLS says so.
        if self.server.context is not None and not self.is_broken:
            try:
                self.connection.settimeout(1)
                self.connection.unwrap()
            except OSError:
                pass  # the other side has gone

    def do_GET(self):
        self.serve()

    do_HEAD = do_POST = do_DELETE = do_PUT = do_GET

    def serve(self):
        url = urlsplit(self.path)
        self.server.log.write("request", connection=self.client_address[2], host=self.headers.get("Host", ""),
                              method=self.command, target=self.path, headers=list(self.headers.items()))
        wishes = Wishes(self.headers)
        sender = Sender(self, wishes)
        try:
            body = self.read_json()
            if body is None:
                return
            if wishes.delay:
                time.sleep(wishes.delay)
            usage = self.answer(url, body, wishes, sender)
        except Broken:
            self.is_broken = True
            self.server.log.write("answer_broken", connection=self.client_address[2], target=self.path)
            return
        self.server.log.write("answered", connection=self.client_address[2], target=self.path, usage=usage,
                              model=body.get("model"))

    def answer(self, url, body, wishes, sender):
        """The usage that was told; None: there was none to tell."""
        api = api_of(url.path)
        if api is None:
            return self.answer_other(url, sender)
        if not self.is_credential_right(api, url.query):
            sender.document(401, api.error(401, "That is not the key that this provider knows."))
        elif wishes.status:
            retry = [("Retry-After", "0")] if wishes.status == 429 else []
            sender.document(wishes.status, api.error(wishes.status), retry)
        else:
            query = {"query": url.query} if api in (gemini, search) else {}
            usage = api.serve(self.command, url.path, body, wishes, sender, **query)
            if usage is not None:
                return usage
            sender.document(404, api.error(404, "There is no such call here; --help lists those there are."))
        return None

    def answer_other(self, url, sender):
        kind, _, argument = url.path.strip("/").partition("/")
        if kind == "status" and argument.isdecimal() and 200 <= int(argument) <= 599:
            self.send_response(int(argument))
            if int(argument) not in (204, 304):
                self.send_header("Content-Length", "0")
            self.end_headers()
        elif kind == "bytes" and argument.isdecimal() and int(argument) <= MAX_BYTES:
            sender.whole(200, b"0123456789abcdef" * (int(argument) // 16 + 1)
                         if int(argument) < 1 << 20 else bytes(int(argument)), [("Content-Type", "text/plain")])
        elif kind == "socket" and self.headers.get("Upgrade", "").lower() == "websocket":
            self.echo()
        else:
            sender.document(404, {"error": {"code": "not_found", "message": "try GET /search?q=..."}})

    def is_credential_right(self, api, query):
        if not self.server.credentials:
            return True
        given = [self.headers.get(api.CREDENTIAL, ""), self.headers.get("Authorization", "").removeprefix("Bearer ")]
        if api is gemini:
            given += parse_qs(query).get("key", [])
        return any(key in self.server.credentials for key in given)

    def echo(self):
        """The other side of a WebSocket, as far as a proxy can see it: bytes that come back."""
        key = self.headers.get("Sec-WebSocket-Key", "")
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"),
                            ("Sec-WebSocket-Accept", base64.b64encode(accept).decode())):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        while data := self.connection.recv(65536):
            self.connection.sendall(data)

    def read_json(self):
        """The body's object; empty where there is none. None: it was refused."""
        data = self.read_body()
        if data is None:
            self.close_connection = True
            Sender(self, Wishes({})).document(413, {"error": {"code": "too_large", "message": "at most 8 MiB"}})
            self.linger()
            return None
        if not data:
            return {}
        text = data.decode("utf-8", "replace")
        self.server.log.write("body", connection=self.client_address[2], target=self.path, size=len(data),
                              body=text[:MAX_LOGGED_BODY])
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            Sender(self, Wishes({})).document(
                400, {"error": {"code": "bad_request", "message": "the body must be a JSON object"}})
            return None
        return body

    def linger(self):
        """Closing with bytes unread would reset the connection, and the answer with it."""
        self.connection.settimeout(2)
        try:
            while self.rfile.read1(1 << 16):
                pass
        except OSError:
            pass

    def read_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self.read_chunks()
        length = self.headers.get("Content-Length", "0")
        return self.rfile.read(int(length)) if length.isdecimal() and int(length) <= MAX_BODY else None

    def read_chunks(self):
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
            if len(data) > MAX_BODY:
                return None
        trailers = []
        while (line := self.rfile.readline()).strip():
            trailers.append(line.decode("latin-1").strip())
        if trailers:
            self.server.log.write("trailers", connection=self.client_address[2], target=self.path, fields=trailers)
        return data

    def log_message(self, format, *args):
        pass  # the log has it


def api_of(path):
    if path.startswith("/v1/messages"):
        return anthropic
    if gemini.PATH.fullmatch(path):
        return gemini
    if path == "/search":
        return search
    return openai if path.startswith("/v1/") else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tls-port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--plain-port", type=int, default=0)
    parser.add_argument("--cert", required=True, help="certificate chain, PEM")
    parser.add_argument("--key", required=True, help="its private key, PEM")
    parser.add_argument("--log", required=True, help="file that the JSON lines are appended to")
    parser.add_argument("--credential", action="append", default=[], help="a key that it takes; without, it takes any")
    options = parser.parse_args()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    log = Log(options.log)
    servers = [Provider(options.tls_port, log, options.credential, context),
               Provider(options.plain_port, log, options.credential)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"tls": servers[0].server_port, "plain": servers[1].server_port}), flush=True)

    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    done.wait()


if __name__ == "__main__":
    main()
