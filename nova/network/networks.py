"""Networks: making, changing and deleting them, and finding them a segment."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.orm import Session

from nova.db import floating_ips, networks, ports, tags
from nova.db.floating_ips import FloatingIp
from nova.db.networks import Network
from nova.db.ports import Address, Port
from nova.db.subnets import Subnet
from nova.network import faults, quotas, revisions, security_groups, subnets
from nova.network.rpc import wake
from nova.wiring import Wiring
from strata.context import Context
from strata.db import retried

#: the bytes VXLAN adds to each packet over IPv4
VXLAN_OVERHEAD = 50
VLANS = (1, 4094)
VNIS = (1, 2 ** 24 - 1)


def get(tx: Session, context: Context, id: str) -> Network:
    """A visible network, or ``NetworkNotFound``."""
    network = networks.find(tx, context, id)
    if network is None:
        raise faults.NetworkNotFound(id=id[:80])
    return network


@retried
def create(wiring: Wiring, context: Context, items: Sequence[Mapping[str, Any]]) -> Sequence[Network]:
    """Make networks, all or none."""
    made = []
    with wiring.db.transaction() as tx:
        for item in items:
            values = dict(item)
            quotas.take(tx, wiring, values['project_id'], {'network': 1})
            security_groups.ensure_default(tx, values['project_id'])
            made.append(_place(tx, wiring, values))
        found = {network.id: network for network in networks.some(tx, [network.id for network in made])}
    return [found[network.id] for network in made]


def _place(tx: Session, wiring: Wiring, values: dict[str, Any]) -> Network:
    """Insert a network on a segment of its own."""
    kind = values.pop('network_type', None) or wiring.conf.network.tenant_network_type
    physical, number = values.pop('physical_network', None), values.pop('segmentation_id', None)
    _check_segment(kind, physical, number)
    values['mtu'] = _mtu(wiring, kind, values.pop('mtu', None))
    if kind == 'local':
        network = Network(network_type=kind, **values)
        tx.add(network)
        tx.flush()
        return network
    for choice in _segments(tx, kind, physical, number):
        medium = f'{kind}:{physical}' if physical else kind
        network = Network(network_type=kind, physical_network=physical, segmentation_id=choice,
                          segment=medium if choice is None else f'{medium}:{choice}', **values)
        try:
            with tx.begin_nested():
                tx.add(network)
                tx.flush()
        except exc.IntegrityError:
            continue
        return network
    raise _taken(kind, physical, number)


def _check_segment(kind: str, physical: str | None, number: int | None) -> None:
    problem = None
    if kind in ('flat', 'vlan') and not physical:
        problem = f'physical_network required for {kind} provider network'
    elif kind in ('local', 'vxlan') and physical:
        problem = f'provider:physical_network specified for {kind} network'
    elif kind in ('local', 'flat') and number is not None:
        problem = f'provider:segmentation_id specified for {kind} network'
    elif number is not None and kind in ('vlan', 'vxlan'):
        first, last = VLANS if kind == 'vlan' else VNIS
        if not first <= number <= last:
            problem = f'segmentation_id out of range ({first} through {last})'
    if problem:
        raise faults.InvalidInput(error_message=problem)


def _segments(tx: Session, kind: str, physical: str | None, number: int | None) -> list[int | None]:
    """The segmentation ids to try, in turn."""
    if kind == 'flat' or number is not None:
        return [number]
    first, last = VLANS if kind == 'vlan' else VNIS
    used = networks.segmentation_ids(tx, kind, physical)
    if kind == 'vlan':
        return [each for each in range(first, last + 1) if each not in used]
    return [number for _ in range(50) if (number := first + secrets.randbelow(last)) not in used]


def _taken(kind: str, physical: str | None, number: int | None) -> Exception:
    if number is None and kind != 'flat':
        return faults.NoNetworkAvailable()
    if kind == 'vlan':
        return faults.VlanIdInUse(segmentation_id=number, physical_network=physical)
    return faults.FlatNetworkInUse(physical_network=physical) if kind == 'flat' else faults.TunnelIdInUse(
        segmentation_id=number)


def _mtu(wiring: Wiring, kind: str, asked: int | None) -> int:
    most = wiring.conf.network.mtu - (VXLAN_OVERHEAD if kind == 'vxlan' else 0)
    if asked and asked > most:
        raise faults.InvalidInput(error_message=f'Requested MTU is too big, maximum is {most}')
    if asked and asked < 0:
        raise faults.InvalidInput(error_message='An MTU is not negative')
    return asked or most


@retried
def update(wiring: Wiring, context: Context, id: str, values: Mapping[str, Any],
           revision: int | None = None) -> Network:
    """Change a network."""
    with wiring.db.transaction() as tx:
        network = networks.locked(tx, id)
        if network is None:
            raise faults.NetworkNotFound(id=id)
        revisions.check(network, revision)
        if network.shared and values.get('shared') is False:
            _check_unshared(tx, network)
        if network.external and values.get('external') is False:
            _check_internal(tx, network)
        changed = dict(values)
        if 'mtu' in changed:
            changed['mtu'] = _mtu(wiring, network.network_type, changed['mtu'])
            subnets.check_mtu(id, changed['mtu'], tx.scalars(
                sa.select(Subnet.ip_version).where(Subnet.network_id == id).distinct()).all())
        revisions.revise(network, changed)
        tx.flush()
        network = get(tx, context.elevated(), id)
    wake(wiring, context, networks=[id])
    return network


def _check_unshared(tx: Session, network: Network) -> None:
    foreign = tx.scalar(sa.select(sa.func.count()).select_from(Port).where(
        Port.network_id == network.id, Port.project_id.not_in((network.project_id, '')),
        Port.device_owner.not_in((ports.DHCP, ports.GATEWAY, ports.FLOATING))))
    if foreign:
        raise faults.InvalidSharedSetting(network=network.name or network.id)


def _check_internal(tx: Session, network: Network) -> None:
    used = tx.scalar(sa.select(sa.func.count()).select_from(Port).where(
        Port.network_id == network.id, Port.device_owner.in_((ports.GATEWAY, ports.FLOATING))))
    if used:
        raise faults.ExternalNetworkInUse(id=network.id)


@retried
def delete(wiring: Wiring, context: Context, id: str) -> None:
    """Delete a network with its subnets and the floating IPs that stand for nothing.

    ``NetworkInUse`` if there is any port besides theirs and the DHCP server's.
    """
    with wiring.db.transaction() as tx:
        network = networks.locked(tx, id)
        if network is None:
            raise faults.NetworkNotFound(id=id)
        loose = floating_ips.some(tx, FloatingIp.floating_network_id == id, FloatingIp.port_id.is_(None))
        used = tx.scalars(sa.select(Port.id).where(
            Port.network_id == id, Port.device_owner != ports.DHCP,
            Port.id.not_in([floating.floating_port_id for floating in loose])).limit(10)).all()
        if used:
            raise faults.NetworkInUse(id=id, ports=', '.join(used))
        for floating in loose:
            tags.clear(tx, floating.id)
            quotas.give(tx, floating.project_id, {'floatingip': 1})
            tx.delete(floating)
        tx.flush()
        _erase(tx, network)
    wake(wiring, context, networks=[id])


def _erase(tx: Session, network: Network) -> None:
    """Delete the rows of a network that nobody uses."""
    assert not tx.scalar(sa.select(sa.func.count()).select_from(FloatingIp)
                         .where(FloatingIp.floating_network_id == network.id))
    tx.execute(sa.delete(Address).where(Address.network_id == network.id))
    for port_id in tx.scalars(sa.select(Port.id).where(Port.network_id == network.id)).all():
        tags.clear(tx, port_id)
    tx.execute(sa.delete(Port).where(Port.network_id == network.id))
    for subnet in tx.scalars(sa.select(Subnet).where(Subnet.network_id == network.id)).all():
        quotas.give(tx, subnet.project_id, {'subnet': 1})
        tags.clear(tx, subnet.id)
        tx.delete(subnet)
    tx.flush()
    quotas.give(tx, network.project_id, {'network': 1})
    tags.clear(tx, network.id)
    tx.delete(network)
