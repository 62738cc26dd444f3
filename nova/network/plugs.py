"""A port's rows: inserting them with addresses and groups, and deleting them."""

import ipaddress
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from nova.db import floating_ips, ports, tags
from nova.db.networks import Network
from nova.db.ports import Address, Port, PortGroup
from nova.network import addresses, faults, quotas, security_groups
from nova.wiring import Wiring
from strata.context import Context

#: ports that belong to a router or a floating IP, and go with it
SERVICE = (ports.INTERFACE, ports.GATEWAY, ports.FLOATING)
MOST_PAIRS = 10
MAC_PREFIX = 'fa:16:3e'


def make(tx: Session, wiring: Wiring, context: Context, *, network_id: str, project_id: str,
         fixed_ips: Sequence[Mapping[str, str]] | None = None, mac_address: str | None = None,
         security_groups: Sequence[str] | None = None, counted: bool = False, **values: Any) -> Port:
    """Insert a port; it comes with its network, addresses and groups.  The caller wakes the hosts.

    ``counted`` takes it from the project's quota.
    """
    network = tx.get(Network, network_id)
    if network is None:
        raise faults.NetworkNotFound(id=network_id)
    if counted:
        quotas.take(tx, wiring, project_id, {'port': 1})
    values.setdefault('port_security_enabled', network.port_security_enabled)
    port = _insert(tx, mac_address, Port(network_id=network_id, project_id=project_id, counted=counted,
                                         **values))
    addresses.give(tx, port, fixed_ips)
    set_committed_value(port, 'network', network)
    set_committed_value(port, 'addresses', ports.addresses_of(tx, port.id))
    port.allowed_address_pairs = checked_pairs(port, port.allowed_address_pairs or [])
    set_committed_value(port, 'memberships', [])
    if security_groups is None:
        _put(tx, port, _first_groups(tx, port))
    else:
        join(tx, context, port, security_groups)
    return port


def _insert(tx: Session, mac: str | None, port: Port) -> Port:
    """Insert the row under its MAC address, or one nobody has on the network."""
    for _ in range(1 if mac else 32):
        port.mac_address = mac.lower() if mac else new_mac()
        try:
            with tx.begin_nested():
                tx.add(port)
                tx.flush()
        except exc.IntegrityError as error:
            if 'foreign key' in str(error.orig).lower():
                raise faults.NetworkNotFound(id=port.network_id) from error
            continue
        return port
    raise faults.MacAddressInUse(network_id=port.network_id, mac=port.mac_address)


def new_mac() -> str:
    """A random MAC address under the prefix that clouds of this family use."""
    return ':'.join([MAC_PREFIX, *(f'{octet:02x}' for octet in secrets.token_bytes(3))])


def _first_groups(tx: Session, port: Port) -> Sequence[str]:
    """The groups of a new port that was asked into none: the project's default where rules apply at all."""
    if not port.port_security_enabled or port.device_owner.startswith('network:'):
        return []
    id = security_groups.ensure_default(tx, port.project_id)
    return [id] if id else []


def join(tx: Session, context: Context, port: Port, group_ids: Sequence[str]) -> None:
    """Make these the port's security groups; each must be visible to the caller."""
    wanted = set(group_ids)
    if wanted and not port.port_security_enabled:
        raise faults.PortSecurityAndIPRequiredForSecurityGroups()
    security_groups.refuse_unseen(tx, context, wanted)
    _put(tx, port, wanted)


def _put(tx: Session, port: Port, group_ids: Iterable[str]) -> None:
    if port.memberships:
        tx.execute(sa.delete(PortGroup).where(PortGroup.port_id == port.id)
                   .execution_options(synchronize_session=False))
        for membership in port.memberships:
            tx.expunge(membership)
    made = [PortGroup(port_id=port.id, security_group_id=id) for id in sorted(group_ids)]
    tx.add_all(made)
    tx.flush()
    set_committed_value(port, 'memberships', made)


def checked_pairs(port: Port, pairs: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Allowed address pairs in plain form, each with its MAC address."""
    if not pairs:
        return []
    if not port.port_security_enabled:
        raise faults.AddressPairAndPortSecurityRequired()
    if len(pairs) > MOST_PAIRS:
        raise faults.AllowedAddressPairExhausted(quota=MOST_PAIRS)
    plain: list[dict[str, str]] = []
    for pair in pairs:
        text = pair['ip_address']
        range_ = ipaddress.ip_network(text, strict=False)
        ip = str(range_) if '/' in text else str(ipaddress.ip_address(text))
        mac = (pair.get('mac_address') or port.mac_address).lower()
        if {'ip_address': ip, 'mac_address': mac} in plain:
            raise faults.DuplicateAddressPairInRequest(mac=mac, ip=ip)
        plain.append({'ip_address': ip, 'mac_address': mac})
    return plain


def dissociate(floating: floating_ips.FloatingIp) -> None:
    """Let a floating IP stand for nothing."""
    floating.port_id = floating.fixed_ip_address = floating.router_id = None
    floating.status = 'DOWN'
    floating.revision_number += 1


def erase(tx: Session, port: Port) -> set[str]:
    """Delete a port's rows and give back its quota; the routers whose floating IPs lost it."""
    affected = set()
    for floating in floating_ips.of_ports(tx, [port.id])[port.id]:
        if floating.router_id:
            affected.add(floating.router_id)
        dissociate(floating)
    tx.flush()
    tags.clear(tx, port.id)
    for model in (Address, PortGroup):
        tx.execute(sa.delete(model).where(model.port_id == port.id)
                   .execution_options(synchronize_session=False))
    gone = tx.execute(sa.delete(Port).where(Port.id == port.id).execution_options(synchronize_session=False))
    if gone.rowcount and port.counted:      # type: ignore[attr-defined]
        quotas.give(tx, port.project_id, {'port': 1})
    tx.expunge(port)
    return affected
