"""A training loop that makes one step a call, so that it can take turns with other candidates.

The real loop pulls its batches: it runs in a thread of its own, and its stream of batches lets one through for each
call. What the loop does between two batches, all of it, is one step.
"""

from collections.abc import Callable, Generator, Iterable
from threading import Semaphore, Thread
from typing import TypeVar

T = TypeVar("T")
Through = Callable[[Iterable[T]], Generator[T]]


class Turnstile:
    """`Turnstile(loop)` starts `loop(through)`, which reads `through(batches)`; each call makes it take one step."""

    def __init__(self, loop: Callable[[Through[T]], object]) -> None:
        """Returns when the loop asks for its first batch; raises what the loop raises before that."""
        self.go, self.done = Semaphore(0), Semaphore(0)
        self.closing = False
        self.error: BaseException | None = None
        self.thread = Thread(target=self._run, args=(loop,), daemon=True)
        self.thread.start()
        self._wait()

    def __call__(self) -> None:
        """One step: fetch a batch, learn from it; raises what the loop raised."""
        self.go.release()
        self._wait()

    def close(self) -> None:
        """End the stream of batches and wait for the loop to end."""
        self.closing = True
        self.go.release()
        self.thread.join()

    def _wait(self) -> None:
        self.done.acquire()
        if self.error:
            raise self.error

    def _run(self, loop: Callable[[Through[T]], object]) -> None:
        try:
            loop(self._through)
        except BaseException as error:
            self.error = error
        self.done.release()

    def _through(self, batches: Iterable[T]) -> Generator[T]:
        stream = iter(batches)
        while True:
            self.done.release()
            self.go.acquire()
            if self.closing:
                return
            yield next(stream)
