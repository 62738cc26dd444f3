"""Flavors: their tables, and every query on them."""

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from nova.db.base import Base, Stamped
from strata import errors
from strata.context import Context
from strata.db import Sort, keyset


class Flavor(Stamped, Base):
    """A size that servers come in.  ``id`` is the operator's choice, or a UUID."""

    __tablename__ = 'flavors'

    id: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(255), unique=True)
    description: Mapped[str | None] = mapped_column(sa.Text)
    vcpus: Mapped[int]
    ram_mb: Mapped[int]
    root_gb: Mapped[int]
    ephemeral_gb: Mapped[int] = mapped_column(default=0)
    swap_mb: Mapped[int] = mapped_column(default=0)
    rxtx_factor: Mapped[float] = mapped_column(default=1.0)
    is_public: Mapped[bool] = mapped_column(default=True)
    disabled: Mapped[bool] = mapped_column(default=False)

    specs: Mapped[list['ExtraSpec']] = relationship(lazy='raise', viewonly=True, order_by='ExtraSpec.key')

    @property
    def extra_specs(self) -> dict[str, str]:
        """The extra specs as a dict."""
        return {spec.key: spec.value for spec in self.specs}


class ExtraSpec(Base):
    """One key of a flavor's extra specs."""

    __tablename__ = 'flavor_extra_specs'

    flavor_id: Mapped[str] = mapped_column(sa.ForeignKey('flavors.id', ondelete='CASCADE'), primary_key=True)
    key: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    value: Mapped[str] = mapped_column(sa.String(255))


class Access(Base):
    """A project that may use a flavor which is not public."""

    __tablename__ = 'flavor_access'

    flavor_id: Mapped[str] = mapped_column(sa.ForeignKey('flavors.id', ondelete='CASCADE'), primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)


#: what lists may be sorted by, under the names clients know
SORTS = {'flavorid': Flavor.id, 'id': Flavor.id, 'name': Flavor.name, 'memory_mb': Flavor.ram_mb,
         'vcpus': Flavor.vcpus, 'root_gb': Flavor.root_gb, 'ephemeral_gb': Flavor.ephemeral_gb,
         'swap': Flavor.swap_mb, 'rxtx_factor': Flavor.rxtx_factor, 'is_public': Flavor.is_public,
         'disabled': Flavor.disabled, 'created_at': Flavor.created_at, 'updated_at': Flavor.updated_at}


def visible(context: Context) -> sa.Select[tuple[Flavor]]:
    """The flavors the caller may use, each with its extra specs."""
    query = sa.select(Flavor).options(selectinload(Flavor.specs))
    if context.is_admin:
        return query
    mine = sa.select(Access.flavor_id).where(Access.project_id == context.project_id)
    return query.where(Flavor.is_public | Flavor.id.in_(mine))


def get(tx: Session, context: Context, id: str) -> Flavor:
    """One flavor; ``errors.NotFound`` if there is none the caller may see."""
    flavor = tx.scalar(visible(context).where(Flavor.id == id))
    if flavor is None:
        raise errors.NotFound(kind='Flavor', id=id)
    return flavor


def find(tx: Session, context: Context, *, is_public: bool | None = None, min_ram_mb: int = 0,
         min_root_gb: int = 0, sorts: Sequence[Sort], marker: str | None = None,
         limit: int | None = None) -> Sequence[Flavor]:
    """A page of flavors; ``is_public=None`` is either.  ``errors.Invalid`` for an unknown marker."""
    query = visible(context).where(Flavor.ram_mb >= min_ram_mb, Flavor.root_gb >= min_root_gb)
    if is_public is not None:
        query = query.where(Flavor.is_public == is_public)
    after = None
    if marker is not None:
        after = tx.scalar(visible(context).where(Flavor.id == marker))
        if after is None:
            raise errors.Invalid('marker [{marker}] not found', marker=marker[:80])
    return tx.scalars(keyset(query, sorts, after=after, limit=limit)).all()


def accesses(tx: Session, id: str) -> Sequence[str]:
    """The projects that may use a private flavor."""
    return tx.scalars(sa.select(Access.project_id).where(Access.flavor_id == id)
                      .order_by(Access.project_id)).all()


def put_specs(tx: Session, id: str, specs: dict[str, str]) -> None:
    """Add extra specs, over those of the same key."""
    tx.execute(sa.delete(ExtraSpec).where(ExtraSpec.flavor_id == id, ExtraSpec.key.in_(list(specs))))
    if specs:
        tx.execute(sa.insert(ExtraSpec), [{'flavor_id': id, 'key': key, 'value': value}
                                          for key, value in specs.items()])


def drop_specs(tx: Session, id: str, keys: Collection[str]) -> int:
    """Remove extra specs by key; how many there were."""
    gone = tx.execute(sa.delete(ExtraSpec).where(ExtraSpec.flavor_id == id, ExtraSpec.key.in_(list(keys))))
    return int(gone.rowcount)      # type: ignore[attr-defined]


def remove(tx: Session, id: str) -> bool:
    """Delete a flavor with all that hangs on it; servers keep the copy they were made from."""
    for model in (ExtraSpec, Access):
        tx.execute(sa.delete(model).where(model.flavor_id == id))
    return bool(tx.execute(sa.delete(Flavor).where(Flavor.id == id)).rowcount)      # type: ignore[attr-defined]
