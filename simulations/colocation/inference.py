"""An inference server: `python -m simulations.colocation.inference LOAD` prints its port."""

import gc
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from .service import Load, Work


def main() -> None:
    """Answer every request with the result of some work, one after the other."""
    work = Work(Load(**json.loads(sys.argv[1])))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            body = f"{work()}\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    gc.disable()
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
