"""Floating IPs: taking them from an external network, and letting them stand for a fixed address."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import exc
from sqlalchemy.orm import Session

from nova.db import floating_ips, networks, ports, routers, tags
from nova.db.floating_ips import FloatingIp
from nova.db.ports import Port
from nova.network import faults, plugs, quotas, revisions
from nova.network.rpc import wake
from nova.wiring import Wiring
from strata.context import Context
from strata.db import retried


def get(tx: Session, context: Context, id: str) -> FloatingIp:
    """A visible floating IP, or ``FloatingIPNotFound``."""
    floating = floating_ips.find(tx, context, id)
    if floating is None:
        raise faults.FloatingIPNotFound(id=id[:80])
    return floating


@retried
def create(wiring: Wiring, context: Context, items: Sequence[Mapping[str, Any]]) -> Sequence[FloatingIp]:
    """Take floating IPs from their external networks, associated at once if a port is named."""
    made = []
    with wiring.db.transaction() as tx:
        for item in items:
            made.append(_take(tx, wiring, context, dict(item)).id)
        found = {floating.id: floating for floating in floating_ips.some(tx, FloatingIp.id.in_(made))}
    wake(wiring, context, routers=_routers(found.values()))
    return [found[id] for id in made]


def _locked(tx: Session, id: str) -> FloatingIp:
    floating = floating_ips.locked(tx, id)
    if floating is None:
        raise faults.FloatingIPNotFound(id=id[:80])
    return floating


def _routers(floatings: Any) -> set[str]:
    return {floating.router_id for floating in floatings if floating.router_id}


def _take(tx: Session, wiring: Wiring, context: Context, values: dict[str, Any]) -> FloatingIp:
    network_id, port_id = values.pop('floating_network_id'), values.pop('port_id', None)
    fixed, wish = values.pop('fixed_ip_address', None), {}
    network = networks.find(tx, context, network_id)
    if network is None:
        raise faults.NetworkNotFound(id=network_id[:80])
    if not network.external:
        raise faults.BadRequest(reason=f'Network {network_id} is not a valid external network')
    if values.get('floating_ip_address'):
        wish['ip_address'] = values.pop('floating_ip_address')
    if values.get('subnet_id'):
        wish['subnet_id'] = values['subnet_id']
    values.pop('subnet_id', None)
    values.pop('floating_ip_address', None)
    quotas.take(tx, wiring, values['project_id'], {'floatingip': 1})
    holder = plugs.make(tx, wiring, context, network_id=network_id, project_id='',
                               fixed_ips=[wish] if wish else None, device_owner=ports.FLOATING,
                               port_security_enabled=False)
    address = next((each.ip_address for each in holder.addresses if _is_ipv4(each.ip_address)), None)
    if address is None:
        raise faults.BadRequest(reason=f'Network {network_id} does not contain any IPv4 subnet')
    floating = FloatingIp(floating_network_id=network_id, floating_port_id=holder.id,
                          floating_ip_address=address, **values)
    tx.add(floating)
    tx.flush()
    holder.device_id = floating.id
    if port_id:
        _associate(tx, context, floating, port_id, fixed)
    elif fixed:
        raise faults.BadRequest(reason='fixed_ip_address cannot be specified without a port_id')
    tx.flush()
    return floating


def _is_ipv4(address: str) -> bool:
    return ipaddress.ip_address(address).version == 4


def _associate(tx: Session, context: Context, floating: FloatingIp, port_id: str, fixed: str | None) -> None:
    """Let a floating IP stand for a port's address, through the router that joins the two networks."""
    port = ports.find(tx, context, port_id)
    if port is None:
        raise faults.PortNotFound(id=port_id[:80])
    if port.project_id != floating.project_id and not context.is_admin:
        raise faults.BadRequest(reason=f'Port {port.id} is of another project than floating IP {floating.id}')
    subnet_id, address = _fixed(port, fixed)
    if (floating.port_id, floating.fixed_ip_address) == (port.id, address):
        return
    found = [router for router in routers.through(tx, subnet_id, floating.floating_network_id)
             if context.is_admin or router.project_id in (floating.project_id, port.project_id)]
    if not found:
        raise faults.ExternalGatewayForFloatingIPNotFound(
            subnet_id=subnet_id, external_network_id=floating.floating_network_id, port_id=port.id)
    try:
        with tx.begin_nested():
            floating.port_id, floating.fixed_ip_address, floating.router_id = port.id, address, found[0].id
            floating.status = 'DOWN'
            tx.flush()
    except exc.IntegrityError as error:
        if 'foreign key' in str(error.orig).lower():      # it was deleted meanwhile
            raise faults.PortNotFound(id=port.id) from error
        raise faults.FloatingIPPortAlreadyAssociated(
            floating_ip_address=floating.floating_ip_address, fip_id=floating.id, port_id=port.id,
            fixed_ip=address, net_id=floating.floating_network_id) from error


def _fixed(port: Port, asked: str | None) -> tuple[str, str]:
    """The subnet and address of a port that a floating IP is to stand for."""
    held = {address.ip_address: address.subnet_id for address in port.addresses
            if _is_ipv4(address.ip_address)}
    if asked:
        if asked not in held:
            raise faults.BadRequest(reason=f'Port {port.id} does not have fixed ip {asked}')
        return held[asked], asked
    if not held:
        raise faults.BadRequest(reason=f'Cannot add floating IP to port {port.id} that has no fixed IPv4 addresses')
    if len(held) > 1:
        raise faults.BadRequest(reason=(f'Port {port.id} has multiple fixed IPv4 addresses.  Must provide a specific '
                                        'IPv4 address when assigning a floating IP'))
    [(address, subnet_id)] = held.items()
    return subnet_id, address


@retried
def update(wiring: Wiring, context: Context, id: str, values: Mapping[str, Any],
           revision: int | None = None) -> FloatingIp:
    """Associate a floating IP with a port, dissociate it (``port_id`` null, or nothing at all), or describe it anew."""
    with wiring.db.transaction() as tx:
        floating = _locked(tx, id)
        revisions.check(floating, revision)
        before, changed = _routers([floating]), dict(values)
        named, fixed = 'port_id' in changed or not changed, changed.pop('fixed_ip_address', None)
        port_id = changed.pop('port_id', None)
        revisions.revise(floating, changed)
        if port_id:
            _associate(tx, context, floating, port_id, fixed)
        elif named:
            floating.port_id = floating.fixed_ip_address = floating.router_id = None
            floating.status = 'DOWN'
        elif fixed and floating.port_id:
            _associate(tx, context, floating, floating.port_id, fixed)
        tx.flush()
        floating = get(tx, context.elevated(), id)
        after = _routers([floating])
    wake(wiring, context, routers=before | after)
    return floating


@retried
def delete(wiring: Wiring, context: Context, id: str) -> None:
    """Give a floating IP back."""
    with wiring.db.transaction() as tx:
        floating = _locked(tx, id)
        touched = _routers([floating])
        holder = ports.locked(tx, floating.floating_port_id)
        tags.clear(tx, id)
        quotas.give(tx, floating.project_id, {'floatingip': 1})
        tx.delete(floating)
        tx.flush()
        if holder is not None:
            plugs.erase(tx, holder)
    wake(wiring, context, routers=touched)
