"""The life of a server, as the API begins it: each change of state comes with its journal row."""

from typing import Any

from nova.compute import rpc, verbs
from nova.compute.verbs import Verb
from nova.db import operations, servers, services
from nova.db.operations import Operation
from nova.db.servers import Server
from nova.wiring import Wiring
from strata import errors, journal
from strata.context import Context
from strata.db import retried

__all__ = ['begin', 'delete', 'get', 'update']


def get(wiring: Wiring, context: Context, id: str) -> Server:
    """One server the caller may see, or ``errors.NotFound``."""
    with wiring.db.reading() as tx:
        return servers.get(tx, context, id)


def begin(wiring: Wiring, context: Context, id: str, verb: Verb, **arguments: Any) -> Operation:
    """Mark a server as busy with ``verb`` and wake its host.

    Raises ``errors.Conflict`` if the server is busy, locked, in the wrong
    state, or on a host that is down; ``errors.NotFound`` for no such server.
    """
    operation = _begin(wiring, context, id, verb, arguments)
    rpc.Compute(wiring.bus).perform(context, host=operation.host, operation_id=operation.id)
    return operation


@retried
def _begin(wiring: Wiring, context: Context, id: str, verb: Verb, arguments: dict[str, Any]) -> Operation:
    with wiring.db.transaction() as tx:
        server = servers.get(tx, context, id)
        refuse_if_locked(context, server, verb)
        if server.vm_state not in verb.legal:
            raise _wrong_state(server, verb, 'vm_state', server.vm_state)
        if server.task_state is not None:
            raise _wrong_state(server, verb, 'task_state', server.task_state)
        if server.host is None:
            raise errors.Conflict("Cannot '{verb}' instance {id}: it is on no host.", verb=verb.action, id=id)
        _refuse_if_down(wiring, tx, server, verb)
        servers.swap(tx, server, expect={'task_state': None, 'vm_state': server.vm_state, 'host': server.host},
                     task_state=verb.doing)
        return _journal(tx, context, server, verb, 'compute', server.host, arguments)


def delete(wiring: Wiring, context: Context, id: str) -> Operation | None:
    """Begin to delete a server, whatever it is doing; ``None`` if that is under way already.

    What was under way is superseded: its worker is fenced off.  A server on no
    host is finished off by a scheduler, which needs no hypervisor for it.
    """
    operation = _delete(wiring, context, id)
    if operation is None:
        return None
    if operation.host:
        rpc.Compute(wiring.bus).perform(context, host=operation.host, operation_id=operation.id)
    else:
        rpc.Scheduler(wiring.bus).perform(context, operation_id=operation.id)
    return operation


@retried
def _delete(wiring: Wiring, context: Context, id: str) -> Operation | None:
    with wiring.db.transaction() as tx:
        server = servers.get(tx, context, id)
        if server.task_state == verbs.DELETING:
            return None
        refuse_if_locked(context, server, verbs.DELETE)
        journal.supersede(tx, Operation, id, 'Superseded by a delete.')
        tx.expire(server)      # a build may have been handed on while we waited for its row
        servers.swap(tx, server, expect={'task_state': server.task_state, 'host': server.host},
                     task_state=verbs.DELETING, progress=0)
        topic = 'compute' if server.host else 'scheduler'
        return _journal(tx, context, server, verbs.DELETE, topic, server.host, {})


def update(wiring: Wiring, context: Context, id: str, **values: Any) -> Server:
    """Change plain attributes (name, description, hostname, access addresses, metadata ...)."""
    return _update(wiring, context, id, values)


@retried
def _update(wiring: Wiring, context: Context, id: str, values: dict[str, Any]) -> Server:
    with wiring.db.transaction() as tx:
        server = servers.get(tx, context, id)
        changed = dict(values)
        if 'disk_config' in changed:
            changed['request'] = {**server.request, 'disk_config': changed.pop('disk_config')}
        if changed:
            servers.swap(tx, server, expect={}, **changed)
        return server


def refuse_if_locked(context: Context, server: Server, verb: Verb) -> None:
    """``errors.Conflict`` if the server is locked and the caller is no administrator."""
    if server.locked_by and verb.locked and not context.is_admin:
        raise errors.Conflict('Instance {id} is locked', id=server.id)


def _refuse_if_down(wiring: Wiring, tx: Any, server: Server, verb: Verb) -> None:
    now = wiring.db.now(tx)
    for service in services.every(tx, binary='nova-compute', host=server.host):
        if not service.is_up(now, wiring.conf.service_down_time):
            raise errors.Conflict("Cannot '{verb}' instance {id}: its host {host} is down.",
                                  verb=verb.action, id=server.id, host=server.host)


def _wrong_state(server: Server, verb: Verb, attribute: str, state: str) -> errors.Conflict:
    return errors.Conflict("Cannot '{verb}' instance {id} while it is in {attribute} {state}",
                           verb=verb.action, id=server.id, attribute=attribute, state=state)


def _journal(tx: Any, context: Context, server: Server, verb: Verb, topic: str, host: str | None,
             arguments: dict[str, Any]) -> operations.Operation:
    operation = journal.open(tx, Operation, context, resource_id=server.id, verb=verb.name, topic=topic,
                             host=host, arguments=arguments)
    operation.action = verb.action
    return operation
