"""Processes that this one measures with, and sessions for them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: Until a measurement that is ended has ended its workers.
_PATIENCE_S = 30.0


class Worker:
    """A process that obeys lines and answers with JSON.

    Parameters
    ----------
    module : str
        Of this package.
    *arguments : str
        Of its command line.
    same_session : bool (default: False)
        Whether it shares the session, and so Linux's autogroup, of this process.
    environment : Mapping[str, str]
        To add to this process's.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        same_session: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"simulations.colocation.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=not same_session,
        )
        #: What it said first.
        self.greeting = self._read().strip()

    def ask(self, line: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for an answer."""
        return json.loads(self._read())

    @contextlib.contextmanager
    def rationed(self, period_s: float, share: float) -> Iterator[None]:
        """Stop it for a share of every period, inside the with block.

        Raises
        ------
        ValueError
            If the share is negative, or nothing would be left of the period.
        """
        if not 0 <= share < 1:
            raise ValueError(f"the share of a period must be in [0, 1), got {share:.2f}")
        over = threading.Event()

        def ration() -> None:
            while not over.wait((1 - share) * period_s) and share:
                self._process.send_signal(signal.SIGSTOP)
                over.wait(share * period_s)
                self._process.send_signal(signal.SIGCONT)

        thread = threading.Thread(target=ration)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} has ended with {self._process.wait()}")
        return line

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            self.ask("end")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


def say(line: str) -> None:
    """Answer who asks; end this process if nobody does any more."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        # What is left to flush at the end has nowhere to go, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def in_own_session(measure: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a process and a session of its own.

    What a training does to the autogroup of the session that it shares with its services stays,
    and must not be there for the next measurement.
    """
    others = set(active_children())
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin) as pool:
        result: Future[R] | None = None
        try:
            result = pool.submit(_measured, partial(measure, *args, **kwargs))
            return result.result()
        except BaseException:
            # Ctrl-C does not reach another session, and the measurement would be waited for. Its
            # workers end when nobody is left to tell them what to do.
            if result is None or not result.done():
                for process in set(active_children()) - others:
                    process.terminate()
            raise


def _measured(measure: Callable[[], R]) -> R:
    try:
        return measure()
    except KeyboardInterrupt:
        # Nobody waits for a result, or for more to do, any more.
        os._exit(1)


def _begin() -> None:
    os.setsid()
    # To be ended is to be interrupted: a worker that is stopped just then would stay.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # Whoever is killed says nothing, and its measurement would disturb the next.
    parent = parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    # What is to be put right on the way out may hang, or fail in another way.
    threading.Event().wait(_PATIENCE_S)
    os._exit(1)
