#!/usr/bin/env python3
"""A provider to try the gateway on: an OpenAI-like and a search-like API, on loopback only, standard library only.

    POST /v1/chat/completions   a chat completion; with "stream": true as server-sent events
    GET  /search?q=...          search results

Both are served under every host name, over TLS (--cert, --key) and in plain HTTP. Every accepted TCP connection and
every request is one JSON line in --log, connections before anything is read from them: what is not in that file did
not leave the gateway. A request may ask for a slow answer by `X-Sample-Delay: <seconds>` (before the answer, and
between the events of a stream).

It prints one JSON line with its ports when it serves.
"""

import argparse
import itertools
import json
import signal
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MAX_BODY = 1 << 20
MAX_DELAY = 30.0


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

    def __init__(self, port, log, context=None):
        self.log = log
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
        if not isinstance(error, OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sample-provider"
    sys_version = ""
    disable_nagle_algorithm = True

    def do_GET(self):
        url = self.begin()
        if url.path == "/search":
            query = parse_qs(url.query).get("q", [""])[0]
            results = [{"title": f"About {query}", "url": f"https://docs.example/{n}"} for n in (1, 2, 3)]
            self.answer(200, {"query": query, "results": results})
        else:
            self.answer(404, {"error": {"code": "not_found", "message": "try GET /search?q=..."}})

    def do_POST(self):
        url = self.begin()
        body = self.read_json()
        if body is None:
            return
        if url.path != "/v1/chat/completions":
            self.answer(404, {"error": {"code": "not_found", "message": "try POST /v1/chat/completions"}})
        elif body.get("stream") is True:
            self.stream(body)
        else:
            self.answer(200, completion(body))

    def begin(self):
        self.server.log.write("request", connection=self.client_address[2], host=self.headers.get("Host", ""),
                              method=self.command, target=self.path, headers=list(self.headers.items()))
        self.delay()
        return urlsplit(self.path)

    def delay(self):
        try:
            seconds = float(self.headers.get("X-Sample-Delay", "0"))
        except ValueError:
            seconds = 0.0
        if 0 < seconds <= MAX_DELAY:
            time.sleep(seconds)

    def read_json(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            self.answer(411, {"error": {"code": "length_required", "message": "Content-Length, at most 1 MiB"}})
            return None
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            body = None
        if not isinstance(body, dict):
            self.answer(400, {"error": {"code": "bad_request", "message": "the body must be a JSON object"}})
            return None
        return body

    def answer(self, status, document):
        data = json.dumps(document).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in events(body):
            data = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.delay()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format, *args):
        pass  # the log has it


WORDS = ["Each", " call", " was", " paid", " for", " before", " it", " left", "."]


def usage(body):
    prompt = len(json.dumps(body.get("messages", []))) // 4 + 1
    return {"prompt_tokens": prompt, "completion_tokens": len(WORDS), "total_tokens": prompt + len(WORDS)}


def completion(body):
    return {
        "id": "chatcmpl-sample", "object": "chat.completion", "created": int(time.time()),
        "model": body.get("model", "sample-1"), "usage": usage(body),
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "".join(WORDS)}}],
    }


def events(body):
    base = {"id": "chatcmpl-sample", "object": "chat.completion.chunk", "created": int(time.time()),
            "model": body.get("model", "sample-1")}
    for word in WORDS:
        yield json.dumps({**base, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
    yield json.dumps({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        yield json.dumps({**base, "choices": [], "usage": usage(body)})
    yield "[DONE]"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tls-port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--plain-port", type=int, default=0)
    parser.add_argument("--cert", required=True, help="certificate chain, PEM")
    parser.add_argument("--key", required=True, help="its private key, PEM")
    parser.add_argument("--log", required=True, help="file that the JSON lines are appended to")
    options = parser.parse_args()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    log = Log(options.log)
    servers = [Provider(options.tls_port, log, context), Provider(options.plain_port, log)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"tls": servers[0].server_port, "plain": servers[1].server_port}), flush=True)

    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    done.wait()


if __name__ == "__main__":
    main()
