"""Work that is done again and again: sweeps, reconcilers, heartbeats."""

import logging
import random
from collections.abc import Callable
from typing import Any

from strata import context as contexts
from strata import green

LOG = logging.getLogger(__name__)


class Periodic:
    """Runs a function every so often, never twice at a time.

    The next run is counted from the end of the last one.  A failure is logged
    and the next run is the retry.  Runs of many hosts spread by ``jitter``.
    """

    def __init__(self, function: Callable[[], Any], seconds: float, name: str | None = None, *,
                 jitter: float = 0.1, first: float = 0) -> None:
        """``jitter``: the fraction by which an interval is made longer or shorter, at random.

        ``first``: seconds before the first run.
        """
        self.name = name or str(getattr(function, '__name__', 'periodic'))
        self.seconds = seconds
        self.jitter = jitter
        self.first = first
        #: how many runs ended, and how many of them in an exception
        self.runs = 0
        self.failures = 0
        self._function = function
        self._awake = green.Event()
        self._running = green.Semaphore(1)
        self._greenlet: green.Greenlet | None = None
        self._stopping = False

    def run_once(self) -> bool:
        """Run now, after a run under way has ended; whether it succeeded."""
        with self._running:
            before = contexts.CURRENT.set(contexts.background(self.name))
            try:
                self._function()
                return True
            except Exception:
                self.failures += 1
                LOG.exception('%s failed; it is tried again in %g s', self.name, self.seconds)
                return False
            finally:
                self.runs += 1
                contexts.CURRENT.reset(before)

    def start(self) -> None:
        """Begin; one that runs already is left alone."""
        if self._greenlet is None:
            self._stopping = False
            self._greenlet = green.spawn(self._loop)

    def wake(self) -> None:
        """Run at once, or once more if a run is under way."""
        self._awake.set()

    def stop(self, grace: float = 0) -> None:
        """Run no more; a run under way gets ``grace`` seconds, then it is killed."""
        loop, self._greenlet = self._greenlet, None
        if loop is None:
            return
        self._stopping = True
        self._awake.set()
        try:
            if grace:
                loop.wait(grace)
        except TimeoutError:
            LOG.warning('%s is still running and is given up', self.name)
        loop.kill()

    def _loop(self) -> None:
        pause = self.first
        while True:
            self._awake.wait(pause)
            self._awake.clear()
            if self._stopping:
                return
            self.run_once()
            pause = self.seconds * (1 + random.uniform(-self.jitter, self.jitter))      # noqa: S311
