"""An HTTP server inside a test that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Asked(NamedTuple):
    path: str
    body: dict[str, Any]
    headers: dict[str, str]


class Answer(NamedTuple):
    """Of the server; a body that is text is sent as it is."""

    body: Any = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0  # until it answers


class FakeServer:
    """answer(asked, number of earlier requests) says what to send back."""

    def __init__(self, answer: Callable[[Asked, int], Answer]) -> None:
        self.answer, self.asked, self.lock = answer, [], threading.Lock()  # type: ignore[var-annotated]
        self.stopped = threading.Event()
        self.url = ""

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [asked.body for asked in self.asked]


@contextmanager
def serving(answer: Callable[[Asked, int], Answer]) -> Iterator[FakeServer]:
    """A server on a free port, while the block lasts."""
    fake = FakeServer(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            asked = Asked(self.path, json.loads(self.rfile.read(length)), dict(self.headers))
            with fake.lock:
                number = len(fake.asked)
                fake.asked.append(asked)
            reply = fake.answer(asked, number)
            fake.stopped.wait(reply.seconds)
            content = reply.body if isinstance(reply.body, str) else json.dumps(reply.body)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content.encode())))
                self.end_headers()
                self.wfile.write(content.encode())
            except OSError:
                pass  # the client has gone

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield fake
    finally:
        fake.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def said(text: str | None, read: int = 5, written: int = 3) -> Answer:
    """A chat completion."""
    usage = {"prompt_tokens": read, "completion_tokens": written}
    return Answer({"choices": [{"message": {"role": "assistant", "content": text}}], "usage": usage})


def completed(text: str) -> Answer:
    """A completion in text."""
    return Answer({"choices": [{"text": text}], "usage": {"prompt_tokens": 9, "completion_tokens": 7}})


class FakeClock:
    """Time that passes only when slept through."""

    def __init__(self) -> None:
        self.time, self.naps = 100.0, []  # type: ignore[var-annotated]
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.time += seconds
            self.naps.append(seconds)
