"""Serve the sandbox on loopback: `python -m blueprints.sandbox --port N [--data DIR]`."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

from werkzeug.serving import WSGIRequestHandler, make_server

from . import APPID, SECRET, create_app

HOST = "127.0.0.1"


class Quiet(WSGIRequestHandler):
    """Logs no request: a request's address holds the app secret."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m blueprints.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the port; 0: any free one")
    parser.add_argument("--data", type=Path, help="a folder in which tokens outlive a restart")
    parser.add_argument("--appid", default=APPID, help="the app id it accepts")
    parser.add_argument("--secret", default=SECRET, help="the app secret it accepts")
    return parser.parse_args()


def stop(number: int, frame: FrameType | None) -> None:
    # An exception, not server.shutdown(): that would wait for the very loop this interrupts.
    sys.exit(0)


def main() -> None:
    """Serve until SIGTERM or SIGINT; the one line printed is the address."""
    chosen = options()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    app = create_app(chosen.appid, chosen.secret, chosen.data)
    server = make_server(HOST, chosen.port, app, threaded=True, request_handler=Quiet)
    print(f"http://{HOST}:{server.port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
