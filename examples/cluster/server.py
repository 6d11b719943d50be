"""An endpoint that tells on which machine its replica runs."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Here(BaseHTTPRequestHandler):
    """Answers every GET with the name of the node."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer in one piece."""
        body = os.environ["LEPTON_NODE"].encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def log_message(self, *_: object) -> None:
        """Print nothing for a request."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Here).serve_forever()
