"""Networks: the table, and every query on it."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship, selectinload

from nova.db import rows
from nova.db.base import Base, Stamped
from nova.db.tags import Tagged
from strata import db
from strata.clock import new_uuid
from strata.context import Context

if TYPE_CHECKING:
    from nova.db.subnets import Subnet


#: the smallest MTU of a link
LEAST_MTU = 68


class Revised(Stamped):
    """A row whose changes are counted, as clients see them in ``revision_number``."""

    revision_number: Mapped[int] = mapped_column(default=1)


class Network(Base, Revised, Tagged):
    """A layer-2 segment.  ``segment`` spells its place (``vlan:physnet1:7``), so that no two share one."""

    __tablename__ = 'networks'

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_uuid)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str] = mapped_column(sa.String(255), default='')
    description: Mapped[str] = mapped_column(sa.String(255), default='')
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(sa.String(16), default='ACTIVE')
    mtu: Mapped[int] = mapped_column(default=1500)
    shared: Mapped[bool] = mapped_column(default=False, index=True)
    external: Mapped[bool] = mapped_column(default=False, index=True)
    is_default: Mapped[bool] = mapped_column(default=False)
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    network_type: Mapped[str] = mapped_column(sa.String(16), default='local')
    physical_network: Mapped[str | None] = mapped_column(sa.String(64))
    segmentation_id: Mapped[int | None] = mapped_column()
    segment: Mapped[str | None] = mapped_column(sa.String(128), unique=True)
    availability_zone_hints: Mapped[Any] = mapped_column(db.Json, default=list)

    subnets: Mapped[list['Subnet']] = relationship(viewonly=True, lazy='raise', order_by='Subnet.created_at')

    @property
    def link_mtu(self) -> int:
        """The MTU of the links that carry the network, which is never less than a link can have."""
        return max(self.mtu, LEAST_MTU)


def visible(context: Context) -> sa.Select[Any]:
    """Networks the caller may see: its project's, the shared and the external ones; all to an admin."""
    query = sa.select(Network)
    if context.is_admin:
        return query
    return query.where(sa.or_(Network.project_id == context.project_id, Network.shared, Network.external))


def whole() -> list[Any]:
    """Options that load what a network's body shows."""
    from nova.db.subnets import Subnet
    return [selectinload(Network.tag_rows), selectinload(Network.subnets).load_only(Subnet.id)]


def find(tx: Session, context: Context, id: str) -> Network | None:
    """A visible network with all its body shows, or ``None``."""
    return rows.one(tx, visible(context).where(Network.id == id), whole())


def locked(tx: Session, id: str) -> Network | None:
    """A network, held until the transaction ends: what belongs to it changes one caller at a time."""
    return rows.held(tx, Network, id)


def some(tx: Session, ids: Collection[str]) -> Sequence[Network]:
    """The networks with these ids, whole."""
    return rows.every(tx, sa.select(Network).where(Network.id.in_(ids)), whole())


def bare(tx: Session, ids: Collection[str]) -> Sequence[Network]:
    """The networks with these ids, without what belongs to them."""
    return tx.scalars(sa.select(Network).where(Network.id.in_(ids))).all()


def segmentation_ids(tx: Session, network_type: str, physical_network: str | None) -> set[int]:
    """The segmentation ids taken on one medium."""
    query = sa.select(Network.segmentation_id).where(Network.network_type == network_type,
                                                     Network.segmentation_id.is_not(None))
    if physical_network is not None:
        query = query.where(Network.physical_network == physical_network)
    return {number for number in tx.scalars(query) if number is not None}


def usable(tx: Session, project_id: str) -> Sequence[Network]:
    """Networks a project's server may be put on without being told: its own, and those shared with all."""
    return tx.scalars(sa.select(Network).where(
        sa.or_(Network.project_id == project_id, Network.shared), sa.not_(Network.external),
        Network.admin_state_up)
        .order_by(Network.created_at)).all()
