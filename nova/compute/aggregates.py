"""Host aggregates: what the API does with them, and how they put hosts into zones.

A host is in one zone: that of whichever of its aggregates names one, else the
default.  It is written to the host's service row, which is where the
scheduler and the views read it.  A host that has servers changes its zone no
more, for theirs would change with it.
"""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db import aggregates as db
from nova.db import servers, services
from nova.db.aggregates import ZONE, Aggregate, AggregateHost
from nova.wiring import Wiring
from strata import errors
from strata.db import Duplicate, retried


def every(wiring: Wiring) -> Sequence[Aggregate]:
    """All aggregates."""
    with wiring.db.reading() as tx:
        return db.every(tx)


def get(wiring: Wiring, id: int) -> Aggregate:
    """One aggregate."""
    with wiring.db.reading() as tx:
        return db.get(tx, id)


@retried
def create(wiring: Wiring, *, name: str, zone: str | None) -> Aggregate:
    """Make an aggregate without hosts."""
    made = Aggregate(name=name, meta={ZONE: zone} if zone else {})
    try:
        with wiring.db.transaction() as tx:
            tx.add(made)
    except Duplicate as error:
        raise errors.Conflict('Aggregate {name} already exists.', name=name) from error
    return made


@retried
def update(wiring: Wiring, id: int, *, name: str | None = None,
           metadata: Mapping[str, str | None] | None = None) -> Aggregate:
    """Rename an aggregate, or change its metadata; a value of ``None`` removes the key."""
    try:
        with wiring.db.transaction() as tx:
            aggregate = db.get(tx, id)
            if name is not None:
                aggregate.name = name
            if metadata:
                changed = {**aggregate.meta, **metadata}
                aggregate.meta = {key: value for key, value in changed.items() if value is not None}
            tx.flush()
            if metadata and ZONE in metadata:
                _place(wiring, tx, aggregate, aggregate.hosts)
            return aggregate
    except Duplicate as error:
        raise errors.Conflict('Aggregate {name} already exists.', name=name) from error


@retried
def delete(wiring: Wiring, id: int) -> None:
    """Forget an aggregate; one that has hosts is refused."""
    with wiring.db.transaction() as tx:
        aggregate = db.get(tx, id)
        if aggregate.hosts:
            raise errors.Invalid('Cannot delete aggregate {id}: it is not empty.', id=id)
        tx.execute(sa.delete(Aggregate).where(Aggregate.id == id))


@retried
def add_host(wiring: Wiring, id: int, host: str) -> Aggregate:
    """Put a host into an aggregate, and so into its zone."""
    try:
        with wiring.db.transaction() as tx:
            aggregate = db.get(tx, id)
            if not services.every(tx, binary='nova-compute', host=host):
                raise errors.NotFound('Compute host {host} could not be found.', host=host)
            if host in aggregate.hosts:
                raise errors.Conflict('Aggregate {id} already has host {host}.', id=id, host=host)
            tx.add(AggregateHost(aggregate_id=id, host=host))
            tx.flush()
            _place(wiring, tx, aggregate, [host])
            return db.get(tx, id)
    except Duplicate as error:
        raise errors.Conflict('Aggregate {id} already has host {host}.', id=id, host=host) from error


@retried
def remove_host(wiring: Wiring, id: int, host: str) -> Aggregate:
    """The reverse of ``add_host``."""
    with wiring.db.transaction() as tx:
        aggregate = db.get(tx, id)
        if host not in aggregate.hosts:
            raise errors.NotFound('Aggregate {id} has no host {host}.', id=id, host=host)
        tx.execute(sa.delete(AggregateHost).where(AggregateHost.aggregate_id == id, AggregateHost.host == host))
        _place(wiring, tx, aggregate, [host], leaving=True)
        return db.get(tx, id)


def _place(wiring: Wiring, tx: Session, aggregate: Aggregate, hosts: Sequence[str], *,
           leaving: bool = False) -> None:
    """Bring the zones of some hosts in line with their aggregates; ``errors.Conflict`` if that cannot be."""
    others: dict[str, str] = {}
    for other in db.of_hosts(tx, hosts, but=aggregate.id):
        others.update({host: other.zone for host in other.hosts if other.zone})
    for host in hosts:
        own = None if leaving else aggregate.zone
        if own and others.get(host, own) != own:
            raise errors.Conflict('Host {host} is already in availability zone {zone}.', host=host,
                                  zone=others[host])
        zone = own or others.get(host) or wiring.conf.default_availability_zone
        for service in services.every(tx, binary='nova-compute', host=host):
            if service.availability_zone == zone:
                continue
            if servers.on_host(tx, host):
                raise errors.Conflict('Host {host} has servers: its availability zone cannot change.', host=host)
            service.availability_zone = zone
