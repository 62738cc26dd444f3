"""How an operation on a server ends: in each case one transaction, fenced by its lease.

Used by nova-compute for its own operations and by nova-scheduler for those of
servers on no host or on a lost one.
"""

from typing import Any

from sqlalchemy.orm import Session

from nova.compute import rpc, verbs
from nova.compute.create import release_quota
from nova.db import hosts, passwords, servers
from nova.db.servers import Server
from nova.network import ports
from nova.wiring import Wiring
from strata import clock, errors
from strata.context import background
from strata.journal import ERROR, SUCCESS, Lease


def load(wiring: Wiring, lease: Lease) -> Server:
    """The server that an operation is about, deleted or not."""
    with wiring.db.reading() as tx:
        return servers.get(tx, background('nova'), lease.entry.resource_id, deleted=True)


def finish(wiring: Wiring, lease: Lease, **values: Any) -> None:
    """The operation succeeded: the server rests, with ``values`` written."""
    def write() -> None:
        with wiring.db.transaction() as tx:
            _close(tx, lease)
            servers.move(tx, lease.entry.resource_id, expect={}, task_state=None, **values)
    wiring.db.retried(write)


def _close(tx: Session, lease: Lease) -> None:
    if lease.entry.step:
        lease.end_step(tx, lease.entry.step)
    lease.finish(tx, SUCCESS)


def finish_error(wiring: Wiring, lease: Lease, error: BaseException, *, keep: bool = False, **values: Any) -> None:
    """The operation failed: the fault is recorded, the server is free for another verb.

    ``keep`` leaves its vm_state as it was; otherwise it is in error.
    """
    def write() -> None:
        with wiring.db.transaction() as tx:
            lease.finish(tx, ERROR, errors.told(error))
            state = {} if keep else {'vm_state': verbs.ERROR}
            servers.move(tx, lease.entry.resource_id, expect={}, task_state=None, **state,
                         **servers.fault(error), **values)
    wiring.db.retried(write)


def finish_delete(wiring: Wiring, lease: Lease) -> None:
    """What a delete does outside its host: ports, claim, quota, password, and the row itself."""
    ports.release(wiring, lease.context.elevated(), lease.entry.resource_id, hold=lease.hold)

    def write() -> None:
        with wiring.db.transaction() as tx:
            _close(tx, lease)
            server = servers.get(tx, background('nova'), lease.entry.resource_id)
            hosts.unclaim(tx, server.id)
            release_quota(tx, server)
            passwords.clear(tx, server.id)
            servers.swap(tx, server, expect={}, deleted=True, vm_state=verbs.DELETED, task_state=None,
                         power_state=0, terminated_at=clock.CLOCK.now())
    wiring.db.retried(write)


def reschedule(wiring: Wiring, lease: Lease, host: str, why: str) -> None:
    """Give a build back to the schedulers, to try another host than ``host``."""
    tried = [*lease.entry.arguments.get('tried', []), host]

    def write() -> None:
        with wiring.db.transaction() as tx:
            lease.hand_over(tx, topic='scheduler', host=None, step=None, unwinding=False, message=None,
                            arguments={**lease.entry.arguments, 'tried': tried, 'failure': why[:500]})
            hosts.unclaim(tx, lease.entry.resource_id)
            servers.move(tx, lease.entry.resource_id, expect={'host': host}, host=None, node=None,
                         task_state=verbs.SCHEDULING)
    wiring.db.retried(write)
    rpc.Scheduler(wiring.bus).perform(lease.context, operation_id=lease.entry.id)
