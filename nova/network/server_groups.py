"""The security groups of a server: those of its ports."""

from collections.abc import Callable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db import ports, security_groups
from nova.db.ports import Port, PortGroup
from nova.db.security_groups import SecurityGroup
from nova.db.servers import Server
from nova.network import plugs
from nova.network.rpc import wake
from nova.wiring import Wiring
from strata import errors
from strata.context import Context
from strata.db import retried


def of_server(tx: Session, server_id: str) -> Sequence[SecurityGroup]:
    """The groups that any port of a server is in, whole."""
    ids = tx.scalars(sa.select(PortGroup.security_group_id).join(Port, Port.id == PortGroup.port_id).where(
        Port.device_id == server_id, Port.device_owner.startswith('compute:')).distinct()).all()
    return security_groups.some(tx, ids)


def join(wiring: Wiring, context: Context, server: Server, word: str) -> None:
    """Put the ports of a server into the group of its project with an id or name; idempotent."""
    _change(wiring, context, server, word, lambda held, id: held | {id})


def leave(wiring: Wiring, context: Context, server: Server, word: str) -> None:
    """Take the ports of a server out of a group; ``errors.NotFound`` if none is in it."""
    def without(held: set[str], id: str) -> set[str]:
        return held - {id}
    if not _change(wiring, context, server, word, without):
        raise errors.NotFound('Security group {word} is not associated with the instance {id}.',
                              word=word[:80], id=server.id)


@retried
def _change(wiring: Wiring, context: Context, server: Server, word: str,
            change: Callable[[set[str], str], set[str]]) -> bool:
    """Whether any port's groups changed; ``errors.Conflict`` for a server without a port that takes groups."""
    with wiring.db.transaction() as tx:
        group = _named(tx, server.project_id, word)
        cards = [port for port in ports.of_device(tx, [server.id])[server.id]
                 if port.port_security_enabled and port.addresses]
        if not cards:
            raise errors.Conflict('Instance {id} has no port that a security group could apply to.', id=server.id)
        changed: list[Port] = []
        for port in cards:
            held = set(port.security_group_ids)
            wanted = change(held, group.id)
            if wanted != held:
                plugs.join(tx, context.elevated(), port, sorted(wanted))
                port.revision_number += 1
                changed.append(port)
        networks = {port.network_id for port in changed}
    if networks:
        wake(wiring, context, networks=networks, groups=[group.id])
    return bool(changed)


def _named(tx: Session, project_id: str, word: str) -> SecurityGroup:
    found = security_groups.named(tx, project_id, [word])
    matching = [group for group in found if group.id == word] or list(found)
    if not matching:
        raise errors.NotFound('Security group {word} not found for project {project}.', word=word[:80],
                              project=project_id)
    if len(matching) > 1:
        raise errors.Conflict('Multiple security groups found matching {word}. Use an ID to be more specific.',
                              word=word[:80])
    return matching[0]
