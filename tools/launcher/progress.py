"""What the user sees while ``up`` and its kin work: a line per step, with how long it took."""

import contextlib
import sys
import time
from collections.abc import Iterator


class Progress:
    """Prints steps as they happen and remembers how long each took."""

    def __init__(self) -> None:
        self.took: list[tuple[str, float]] = []
        self._live = sys.stdout.isatty()
        self._started = time.monotonic()

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator['Step']:
        """One step: named when it begins, timed when it ends."""
        begun, step = time.monotonic(), Step(self, what)
        self._show(what, '...')
        try:
            yield step
        except BaseException:
            self._end(what, 'failed')
            raise
        seconds = time.monotonic() - begun
        self.took.append((what, seconds))
        self._end(what, f'{seconds:5.1f} s{"  (" + step.remark + ")" if step.remark else ""}')

    def _show(self, what: str, state: str) -> None:
        if self._live:
            print(f'\r\033[K  {what:46} {state}', end='', flush=True)

    def _end(self, what: str, state: str) -> None:
        print(f'{chr(13) + chr(27) + "[K" if self._live else ""}  {what:46} {state}', flush=True)

    @property
    def total(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._started


class Step:
    """A step under way: ``tell`` says how far it is, ``remark`` is shown when it ends."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress, self._what, self.remark = progress, what, ''

    def tell(self, state: str) -> None:
        """Show how far the step is, on a terminal."""
        self._progress._show(self._what, state)
