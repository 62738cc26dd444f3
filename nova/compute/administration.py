"""What changes a server without its host: locks, states set by hand, the console's text."""

from typing import Any

from nova.compute import rpc, verbs
from nova.db import servers
from nova.db.operations import Operation
from nova.db.servers import Server
from nova.wiring import Wiring
from strata import clock, errors, journal
from strata.context import Context
from strata.db import retried

#: bytes of console output that travel over the bus at most
CONSOLE = 256 * 1024


@retried
def lock(wiring: Wiring, context: Context, id: str, *, reason: str | None = None) -> None:
    """Refuse a server's verbs to everybody but administrators, until ``unlock``."""
    with wiring.db.transaction() as tx:
        server = servers.get(tx, context, id)
        owner = context.project_id == server.project_id and server.locked_by != 'admin'
        servers.swap(tx, server, expect={'locked_by': server.locked_by},
                     locked_by='owner' if owner else 'admin',
                     locked_reason=reason)
        _record(tx, context, server, 'lock')


@retried
def unlock(wiring: Wiring, context: Context, id: str, *, override: bool) -> None:
    """Undo ``lock``; an administrator's lock takes ``override``."""
    with wiring.db.transaction() as tx:
        server = servers.get(tx, context, id)
        if server.locked_by == 'admin' and not override:
            raise errors.Forbidden(rule='os_compute_api:os-lock-server:unlock:unlock_override')
        servers.swap(tx, server, expect={'locked_by': server.locked_by}, locked_by=None, locked_reason=None)
        _record(tx, context, server, 'unlock')


@retried
def reset_state(wiring: Wiring, context: Context, id: str, vm_state: str) -> None:
    """Say that a server is active or in error, and at rest; whoever works on it is fenced off."""
    with wiring.db.transaction() as tx:
        server = servers.get(tx, context, id)
        journal.supersede(tx, Operation, id, 'Superseded by an administrator who reset the state.')
        servers.swap(tx, server, expect={}, vm_state=vm_state, task_state=None)


def _record(tx: Any, context: Context, server: Server, action: str) -> None:
    """A journal row of something that is done already."""
    operation = journal.open(tx, Operation, context, resource_id=server.id, verb=action, topic='api')
    operation.action, operation.outcome, operation.finished_at = action, journal.SUCCESS, clock.CLOCK.now()


def console_output(wiring: Wiring, context: Context, id: str, *, lines: int | None = None) -> str:
    """The last ``lines`` lines of a server's console (``None``: all that is kept).

    Raises ``errors.Conflict`` if the server is on no host yet.
    """
    with wiring.db.reading() as tx:
        server = servers.get(tx, context, id)
    if server.host is None or server.vm_state == verbs.BUILDING:
        raise errors.Conflict('Instance {id} is not ready', id=id)
    text: str = rpc.Compute(wiring.bus).console_output(context, host=server.host, server_id=id, limit=CONSOLE)
    if lines is None or lines < 0:
        return text
    return '\n'.join(text.split('\n')[-lines:]) if lines else ''


def diagnostics(wiring: Wiring, context: Context, id: str) -> dict[str, Any]:
    """The counters of a server's guest, in the form of 2.48.

    Raises ``errors.Conflict`` if the server is on no host yet.
    """
    with wiring.db.reading() as tx:
        server = servers.get(tx, context, id)
    if server.host is None or server.vm_state == verbs.BUILDING:
        raise errors.Conflict('Instance {id} is not ready', id=id)
    counted: dict[str, Any] = rpc.Compute(wiring.bus).diagnostics(context, host=server.host, server_id=id)
    return counted
