"""A tier for tests: `stand_in.py NAME PORT EVENTS [refuse|crash|hang|fork]` answers every GET with 200.

It appends `NAME start` and `NAME stop` to the file EVENTS.
"""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType

from pixeltally.process import die_with_parent, environment_of_children, say_refused


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main(name: str, port: str, events: str, behaviour: str = "") -> None:
    def note(what: str) -> None:
        with open(events, "a") as file:
            file.write(f"{name} {what}\n")

    def stop(number: int, frame: FrameType | None) -> None:
        if behaviour != "hang":
            time.sleep(0.2)
            note("stop")
            print("the last words", flush=True)
            os._exit(0)

    die_with_parent()
    signal.signal(signal.SIGTERM, stop)
    note("start")
    if behaviour == "refuse":
        say_refused("the moon is full: wait a week.")
        sys.exit(2)
    if behaviour == "crash":
        sys.exit(1)
    os.environ.update(environment_of_children())
    if behaviour == "fork" and os.fork() == 0:
        die_with_parent()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ThreadingHTTPServer.allow_reuse_port = True
    ThreadingHTTPServer(("127.0.0.1", int(port)), Answer).serve_forever()


main(*sys.argv[1:])
