"""Daemons, as an administrator manages them."""

import datetime
from collections.abc import Sequence

import sqlalchemy as sa

from nova.db import servers
from nova.db import services as db
from nova.db.hosts import ComputeHost
from nova.db.services import Service
from nova.wiring import Wiring
from strata import errors
from strata.db import retried

Known = tuple[Sequence[Service], datetime.datetime]


def every(wiring: Wiring, *, binary: str | None = None, host: str | None = None) -> Known:
    """The daemons, and the time by the database's clock."""
    with wiring.db.reading() as tx:
        return db.every(tx, binary=binary, host=host), wiring.db.now(tx)


def find(wiring: Wiring, binary: str, host: str) -> str:
    """The id of a daemon, or ``errors.NotFound``."""
    with wiring.db.reading() as tx:
        found = db.every(tx, binary=binary, host=host)
    if not found:
        raise errors.NotFound('Could not find binary {binary} on host {host}.', binary=binary, host=host)
    return found[0].id


def by_number(wiring: Wiring, number: str) -> str:
    """The id of the daemon that had this number before 2.53."""
    with wiring.db.reading() as tx:
        id = tx.scalar(sa.select(Service.id).where(Service.number == int(number), Service.deleted.is_(False))
                       ) if number.isascii() and number.isdigit() and len(number) < 10 else None
    if id is None:
        raise errors.NotFound(kind='Service', id=number[:80])
    return id


@retried
def update(wiring: Wiring, id: str, *, disabled: bool | None = None, reason: str | None = None,
           forced_down: bool | None = None) -> tuple[Service, datetime.datetime]:
    """Let a daemon take part or not, or declare it dead; what is ``None`` stays."""
    with wiring.db.transaction() as tx:
        service = db.get(tx, id)
        if service.binary != 'nova-compute' and (disabled is not None or forced_down is not None):
            raise errors.Invalid('Updating a {binary} service is not supported. Only nova-compute services '
                                 'can be updated.', binary=service.binary)
        if disabled is not None:
            service.disabled, service.disabled_reason = disabled, reason if disabled else None
        if forced_down is not None:
            service.forced_down = forced_down
        return service, wiring.db.now(tx)


@retried
def delete(wiring: Wiring, id: str) -> None:
    """Forget a daemon; a compute host that still has servers is refused."""
    with wiring.db.transaction() as tx:
        service = db.get(tx, id)
        if service.binary == 'nova-compute':
            if servers.on_host(tx, service.host):
                raise errors.Conflict('Unable to delete compute service that is hosting instances. '
                                      'Migrate or delete the instances first.')
            tx.execute(sa.delete(ComputeHost).where(ComputeHost.host == service.host))
        service.deleted = True
