"""Long operations as a list of steps, each next to the step that undoes it.

A flow runs under a journal lease.  Every step is recorded as started before
it acts, so a worker that died is known to have been in that step: its
successor does the step again, or unwinds from it, that step included.  Steps
and undos are idempotent for that reason, and read what they need from the
database, not from a step that may have run in another process.  The lease is
kept alive by ``strata.performer`` around all of it.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from strata import errors
from strata.journal import Lease

LOG = logging.getLogger(__name__)

#: called at every edge, (flow, step, edge), by tests that kill the process there
EDGES: list[Callable[[str, str, str], None]] = []


@dataclasses.dataclass(frozen=True)
class Step:
    """``do(job)`` and ``undo(job)``; ``begins(tx, job)`` runs in the transaction that says "started"."""

    do: Callable[[Any], None]
    undo: Callable[[Any], None] | None = None
    begins: Callable[[Session, Any], None] | None = None

    @property
    def name(self) -> str:
        return self.do.__name__


class NotUndone(errors.Error):
    """An undo failed; the operation stays open and is unwound again later."""

    message = '{step} could not be undone: {reason}'


class Flow:
    """Run steps in order; on failure undo the begun ones, last first."""

    def __init__(self, name: str, *steps: Step) -> None:
        self.name, self.steps = name, steps

    def run(self, job: Any, lease: Lease, *, host: str | None = None) -> None:
        """Run the flow from where the journal says it stands.

        Raises the failure of a step after unwinding; ``NotUndone`` if that
        failed; ``errors.Fenced`` at once, without unwinding, for then the
        operation is somebody else's.  The end of the last step is recorded by
        whoever finishes the operation.
        """
        if lease.entry.unwinding:
            self.unwind(job, lease, host)
            raise errors.Error(lease.entry.message or 'Interrupted, and unwound after a restart.')
        here = self._position(lease.entry.step)
        done: str | None = None
        for step in self.steps[here:]:
            self._start(job, lease, step, done, host)
            try:
                with self._edges(step.name):
                    step.do(job)
            except errors.Fenced:
                raise
            except Exception as failure:
                self._fail(lease, step, failure)
                self.unwind(job, lease, host)
                raise
            done = step.name

    def unwind(self, job: Any, lease: Lease, host: str | None = None) -> None:
        """Undo the step under way and those before it, last first.

        Raises ``NotUndone`` for an undo that fails: the row stays open, and a sweep tries again.
        """
        here = self._position(lease.entry.step)
        for step in reversed(self.steps[:here + 1]):
            if step.undo is None:
                continue
            name = f'undo_{step.name}'
            self._record(lease, name, host)
            try:
                with self._edges(name):
                    step.undo(job)
            except errors.Fenced:
                raise
            except Exception as failure:
                self._fail(lease, step, failure, name)
                raise NotUndone(step=step.name, reason=str(failure)) from failure
            self._end(lease, name)

    def _position(self, name: str | None) -> int:
        names = [step.name for step in self.steps]
        name = (name or '').removeprefix('undo_')
        return names.index(name) if name in names else 0

    @contextlib.contextmanager
    def _edges(self, name: str) -> Any:
        for tell in EDGES:
            tell(self.name, name, 'before')
        yield
        for tell in EDGES:
            tell(self.name, name, 'after')

    def _start(self, job: Any, lease: Lease, step: Step, done: str | None, host: str | None) -> None:
        """One transaction: the step before is done, this one is started."""
        def write() -> None:
            with lease.db.transaction() as tx:
                if done:
                    lease.end_step(tx, done)
                lease.begin_step(tx, step.name, host)
                if step.begins:
                    step.begins(tx, job)
        lease.db.retried(write)

    def _record(self, lease: Lease, name: str, host: str | None) -> None:
        def write() -> None:
            with lease.db.transaction() as tx:
                lease.begin_step(tx, name, host)
        lease.db.retried(write)

    def _end(self, lease: Lease, name: str) -> None:
        def write() -> None:
            with lease.db.transaction() as tx:
                lease.end_step(tx, name)
                lease.hold(tx)
        lease.db.retried(write)

    def _fail(self, lease: Lease, step: Step, failure: Exception, name: str | None = None) -> None:
        LOG.warning('%s: %s failed: %s', self.name, name or step.name, failure, exc_info=failure)

        def write() -> None:
            with lease.db.transaction() as tx:
                lease.end_step(tx, name or step.name, failure)
                lease.hold(tx, unwinding=True, message=lease.entry.message or errors.told(failure)[:1000])
        lease.db.retried(write)
