"""Says again and again that something is still going on, from a thread of its own."""

import threading
import time
from collections.abc import Callable

# Between two lines.
SECONDS = 30.0


class Waiting:
    """From its making until `stop`: `say`(seconds since then) every SECONDS."""

    def __init__(self, say: Callable[[float], None]):
        self._began, self._stopped = time.monotonic(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(say,), daemon=True)
        self._thread.start()

    def _run(self, say: Callable[[float], None]) -> None:
        while not self._stopped.wait(SECONDS):
            say(time.monotonic() - self._began)

    def stop(self) -> None:
        """No line comes after this one returns."""
        self._stopped.set()
        self._thread.join()
