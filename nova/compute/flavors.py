"""Flavors: what the API does with them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from nova.db import flavors as db
from nova.db.flavors import Access, Flavor
from nova.wiring import Wiring
from strata import errors
from strata.clock import new_uuid
from strata.context import Context
from strata.db import Duplicate, Sort, retried


def find(wiring: Wiring, context: Context, *, sorts: Sequence[Sort], **filters: Any) -> Sequence[Flavor]:
    """A page of the flavors that the caller may use."""
    with wiring.db.reading() as tx:
        return db.find(tx, context, sorts=sorts, **filters)


def get(wiring: Wiring, context: Context, id: str) -> Flavor:
    """One flavor, with its extra specs."""
    with wiring.db.reading() as tx:
        return db.get(tx, context, id)


@retried
def create(wiring: Wiring, context: Context, *, name: str, vcpus: int, ram_mb: int, root_gb: int,
           id: str | None = None, ephemeral_gb: int = 0, swap_mb: int = 0, rxtx_factor: float = 1.0,
           is_public: bool = True, description: str | None = None) -> Flavor:
    """Make a flavor; a private one is nobody's at first, not even the caller's project's."""
    id = id if id and id != 'auto' else new_uuid()
    flavor = Flavor(id=id, name=name, vcpus=vcpus, ram_mb=ram_mb, root_gb=root_gb, ephemeral_gb=ephemeral_gb,
                    swap_mb=swap_mb, rxtx_factor=rxtx_factor, is_public=is_public, description=description)
    try:
        with wiring.db.transaction() as tx:
            tx.add(flavor)
            tx.flush()
            return db.get(tx, context.elevated(), id)
    except Duplicate as error:
        with wiring.db.reading() as tx:
            taken = tx.scalar(sa.select(Flavor.id).where(Flavor.id == id))
        which, value = ('ID', id) if taken else ('name', name)
        raise errors.Conflict('Flavor with {which} {value} already exists.', which=which,
                              value=value) from error


@retried
def describe(wiring: Wiring, context: Context, id: str, *, description: str | None) -> Flavor:
    """Change the description, the only member of a flavor that changes."""
    with wiring.db.transaction() as tx:
        flavor = db.get(tx, context, id)
        flavor.description = description
        return flavor


@retried
def delete(wiring: Wiring, context: Context, id: str) -> None:
    """Remove a flavor; its servers go on with their copy."""
    with wiring.db.transaction() as tx:
        if not db.remove(tx, id):
            raise errors.NotFound(kind='Flavor', id=id)


@retried
def put_specs(wiring: Wiring, context: Context, id: str, specs: dict[str, str]) -> None:
    """Add extra specs, over those of the same key."""
    with wiring.db.transaction() as tx:
        db.get(tx, context, id)
        db.put_specs(tx, id, specs)


@retried
def drop_spec(wiring: Wiring, context: Context, id: str, key: str) -> None:
    """Remove one extra spec."""
    with wiring.db.transaction() as tx:
        db.get(tx, context, id)
        if not db.drop_specs(tx, id, [key]):
            raise errors.NotFound('Flavor {id} has no extra specs with key {key}.', id=id, key=key)


def accesses(wiring: Wiring, context: Context, id: str) -> Sequence[str]:
    """The projects that may use a private flavor; a public one has no such list."""
    with wiring.db.reading() as tx:
        if db.get(tx, context, id).is_public:
            raise errors.NotFound('Access list not available for public flavors.')
        return db.accesses(tx, id)


@retried
def admit(wiring: Wiring, context: Context, id: str, project_id: str, *,
          refuse_public: bool) -> Sequence[str]:
    """Let a project use a private flavor; returns all that may."""
    try:
        with wiring.db.transaction() as tx:
            if db.get(tx, context, id).is_public and refuse_public:
                raise errors.Conflict('Can not add access to a public flavor.')
            tx.add(Access(flavor_id=id, project_id=project_id))
            tx.flush()
            return db.accesses(tx, id)
    except Duplicate as error:
        raise errors.Conflict('Flavor access already exists for flavor {id} and project {project} '
                              'combination.',
                              id=id, project=project_id) from error


@retried
def expel(wiring: Wiring, context: Context, id: str, project_id: str) -> Sequence[str]:
    """The reverse of ``admit``."""
    with wiring.db.transaction() as tx:
        db.get(tx, context, id)
        access = tx.get(Access, (id, project_id))
        if access is None:
            raise errors.NotFound('Flavor access not found for {id} / {project} combination.',
                                  id=id, project=project_id)
        tx.delete(access)
        tx.flush()
        return db.accesses(tx, id)
