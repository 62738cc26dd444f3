"""Hosts that carry networks: where VXLAN packets for them are to be sent."""

import datetime
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova.db.base import Base
from nova.db.ports import DHCP, Port
from strata import db


class NetworkHost(Base):
    """One host, and the address its tunnels begin at (``None``: it has none)."""

    __tablename__ = 'network_hosts'

    host: Mapped[str] = mapped_column(sa.String(255), primary_key=True)
    local_ip: Mapped[str | None] = mapped_column(sa.String(64))
    updated_at: Mapped[datetime.datetime | None] = mapped_column(db.Time)


def report(tx: Session, now: datetime.datetime, host: str, local_ip: str | None) -> None:
    """Say where a host's tunnels begin."""
    db.insert_absent(tx, NetworkHost, host=host, local_ip=local_ip, updated_at=now)
    tx.execute(sa.update(NetworkHost).where(NetworkHost.host == host)
               .values(local_ip=local_ip, updated_at=now)
               .execution_options(synchronize_session=False))


def carried(tx: Session, host: str, network_ids: Collection[str] | None = None) -> set[str]:
    """The networks a host must carry (of some, or of all): those where it has a port besides its DHCP server's."""
    query = sa.select(Port.network_id).distinct().where(Port.host == host, Port.device_owner != DHCP)
    return set(tx.scalars(query if network_ids is None else query.where(Port.network_id.in_(network_ids))))


def peers(tx: Session, network_ids: Collection[str], host: str) -> dict[str, list[str]]:
    """For each network, the tunnel addresses of the other hosts that carry it."""
    found: dict[str, list[str]] = {id: [] for id in network_ids}
    for network_id, address in tx.execute(
            sa.select(Port.network_id, NetworkHost.local_ip).distinct()
            .join(NetworkHost, NetworkHost.host == Port.host)
            .where(Port.network_id.in_(network_ids), Port.host != host, NetworkHost.local_ip.is_not(None))
            .order_by(NetworkHost.local_ip)):
        found[network_id].append(address)
    return found
