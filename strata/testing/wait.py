"""Waiting for a condition, so that no test sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

from strata import green

Value = TypeVar('Value')


def until(predicate: Callable[[], Value], timeout: float = 10, message: str = 'the condition', *,
          interval: float = 0.01) -> Value:
    """The first true value of ``predicate``, asked every ``interval`` seconds.

    Raises ``AssertionError`` naming ``message`` after ``timeout`` seconds.  An
    ``AssertionError`` of the predicate counts as "not yet" and is shown at the end.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: AssertionError | None = None
        try:
            value = predicate()
            if value:
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() >= deadline:
            raise AssertionError(f'{message}: not within {timeout} s') from last
        green.sleep(interval)
