"""Ports: making, changing and deleting them."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db import floating_ips, ports
from nova.db.networks import Network
from nova.db.ports import Port
from nova.db.routers import Router
from nova.db.servers import Server
from nova.network import addresses, faults, plugs, revisions
from nova.network.rpc import wake
from nova.network.server_ports import Plugged, allocate, at_address, info, release, validate
from nova.wiring import Wiring
from strata.context import Context
from strata.db import retried

__all__ = ['Plugged', 'allocate', 'at_address', 'check_device', 'create', 'delete', 'get', 'info', 'owner_of',
           'release',
           'update', 'validate', 'wake_for']

#: DHCP options that one port may have
MOST_OPTIONS = 64


def get(tx: Session, context: Context, id: str) -> Port:
    """A visible port, or ``PortNotFound``."""
    port = ports.find(tx, context, id)
    if port is None:
        raise faults.PortNotFound(id=id[:80])
    return port


@retried
def create(wiring: Wiring, context: Context, items: Sequence[Mapping[str, Any]]) -> Sequence[Port]:
    """Make ports, all or none."""
    made = []
    with wiring.db.transaction() as tx:
        for item in items:
            values = dict(item)
            check_device(tx, context, values.get('device_id', ''), values.get('device_owner', ''))
            made.append(plugs.make(tx, wiring, context, counted=True, **values).id)
        found = {port.id: port for port in ports.some(tx, Port.id.in_(made))}
    wake_for(wiring, context, found.values())
    return [found[id] for id in made]


def wake_for(wiring: Wiring, context: Context, changed: Any, also: Sequence[str] = ()) -> None:
    """Wake the hosts that should know of changed ports; ``also`` names groups they have left."""
    wake(wiring, context, networks={port.network_id for port in changed},
         groups={id for port in changed for id in port.security_group_ids} | set(also))


def check_device(tx: Session, context: Context, device_id: str, device_owner: str) -> None:
    """Refuse a port that pretends to be a router's, for only the router API joins networks, or a stranger's server's.

    A port tells the metadata service whose it is, and is plugged into its server at the next start.
    """
    if device_owner in (ports.GATEWAY, ports.FLOATING) or (
            device_owner == ports.INTERFACE and tx.get(Router, device_id) is not None):
        raise faults.DeviceIDNotOwnedByTenant(device_id=device_id[:80])
    if context.is_admin or not device_id:
        return
    owner = tx.scalar(sa.select(Server.project_id).where(Server.id == device_id, Server.deleted.is_(False)))
    if device_owner == ports.INTERFACE or owner not in (None, context.project_id):
        raise faults.DeviceIDNotOwnedByTenant(device_id=device_id[:80])


@retried
def update(wiring: Wiring, context: Context, id: str, values: Mapping[str, Any],
           revision: int | None = None) -> Port:
    """Change a port."""
    with wiring.db.transaction() as tx:
        port = ports.locked(tx, id)
        if port is None:
            raise faults.PortNotFound(id=id)
        revisions.check(port, revision)
        left, changed = list(port.security_group_ids), dict(values)
        if 'device_owner' in changed or 'device_id' in changed:
            _check_owner(tx, context, port, changed)
        groups, asked = changed.pop('security_groups', None), changed.pop('fixed_ips', None)
        if asked is not None:
            _readdress(tx, port, asked)
        if changed.get('mac_address', port.mac_address) != port.mac_address:
            changed['mac_address'] = _new_mac(tx, port, changed['mac_address'])
        pairs, options = changed.pop('allowed_address_pairs', None), changed.pop('extra_dhcp_opts', None)
        if options is not None:
            changed['extra_dhcp_opts'] = merged_options(port.extra_dhcp_opts or [], options)
        revisions.revise(port, changed)
        _check_security(port, groups, pairs)
        if pairs is not None:
            port.allowed_address_pairs = plugs.checked_pairs(port, pairs)
        if groups is not None:
            plugs.join(tx, context, port, groups)
        tx.flush()
        port = get(tx, context.elevated(), id)
    wake_for(wiring, context, [port], also=left)
    return port


def _check_owner(tx: Session, context: Context, port: Port, changed: Mapping[str, Any]) -> None:
    owner, device = changed.get('device_owner', port.device_owner), changed.get('device_id', port.device_id)
    if (owner, device) == (port.device_owner, port.device_id):
        return
    if port.device_owner in plugs.SERVICE and port.device_id:
        raise faults.PortInUse(id=port.id, network_id=port.network_id, device_id=port.device_id)
    check_device(tx, context, device, owner)


def _readdress(tx: Session, port: Port, asked: Sequence[Mapping[str, str]]) -> None:
    lost = addresses.change(tx, port, asked)
    for floating in floating_ips.of_ports(tx, [port.id])[port.id]:
        if floating.fixed_ip_address in lost:
            plugs.dissociate(floating)
    tx.flush()
    tx.refresh(port, ['addresses'])


def _new_mac(tx: Session, port: Port, mac: str) -> str:
    if port.host:
        raise faults.PortBound(id=port.id)
    if tx.scalar(sa.select(Port.id).where(Port.network_id == port.network_id, Port.id != port.id,
                                          Port.mac_address == mac.lower())):
        raise faults.MacAddressInUse(network_id=port.network_id, mac=mac)
    return mac.lower()


def _check_security(port: Port, groups: Sequence[str] | None, pairs: Sequence[Any] | None) -> None:
    """Port security cannot go while something hangs on it."""
    if port.port_security_enabled:
        return
    if port.security_group_ids and groups != []:
        raise faults.PortSecurityPortHasSecurityGroup()
    if port.allowed_address_pairs and pairs != []:
        raise faults.AddressPairAndPortSecurityRequired()


def merged_options(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
                   ) -> list[dict[str, Any]]:
    """DHCP options after an update: those named are changed, those with a null value go."""
    options = {(option['opt_name'], option.get('ip_version', 4)): dict(option) for option in old}
    for option in new:
        key = (option['opt_name'], option.get('ip_version', 4))
        if option['opt_value'] is None:
            options.pop(key, None)
        else:
            options[key] = {'opt_name': key[0], 'opt_value': option['opt_value'], 'ip_version': key[1]}
    if len(options) > MOST_OPTIONS:
        raise faults.InvalidInput(error_message=f'A port has at most {MOST_OPTIONS} extra_dhcp_opts')
    return list(options.values())


@retried
def delete(wiring: Wiring, context: Context, id: str) -> None:
    """Delete a port; one that belongs to a router or a floating IP only goes with it."""
    with wiring.db.transaction() as tx:
        port = ports.locked(tx, id)
        if port is None:
            raise faults.PortNotFound(id=id)
        if port.device_owner in plugs.SERVICE and _in_service(tx, port):
            raise faults.ServicePortInUse(id=id, reason=f'has device owner {port.device_owner}')
        routers = plugs.erase(tx, port)
    wake(wiring, context, networks=[port.network_id], groups=port.security_group_ids, routers=routers)


def _in_service(tx: Session, port: Port) -> bool:
    if port.device_owner == ports.FLOATING:
        return bool(tx.scalar(sa.select(floating_ips.FloatingIp.id).where(
            floating_ips.FloatingIp.floating_port_id == port.id)))
    return bool(port.device_id) and tx.get(Router, port.device_id) is not None


def owner_of(tx: Session, network_id: str) -> str:
    """The project a network belongs to, or ``NetworkNotFound``."""
    project_id = tx.scalar(sa.select(Network.project_id).where(Network.id == network_id))
    if project_id is None:
        raise faults.NetworkNotFound(id=network_id[:80])
    return project_id
