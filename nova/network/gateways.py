"""Gateways of routers: their ports on external networks, and which addresses these have there.

A gateway may be on a network that has no subnet yet: it gets its address when the subnet is made.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db import networks, ports, routers, subnets
from nova.db.floating_ips import FloatingIp
from nova.db.ports import Address, Port
from nova.db.routers import Router
from nova.db.subnets import Subnet
from nova.network import addresses, faults, ipam, plugs
from nova.wiring import Wiring
from strata import errors
from strata.context import Context


def change(tx: Session, wiring: Wiring, context: Context, router: Router,
           info: Mapping[str, Any] | None) -> set[str]:
    """Put the gateway where ``info`` says; the networks touched."""
    old = ports.find(tx, context.elevated(), router.gateway_port_id) if router.gateway_port_id else None
    if old is not None and info and info.get('network_id') in (None, old.network_id):
        router.enable_snat = bool(info.get('enable_snat', True))
        if info.get('external_fixed_ips'):
            addresses.change(tx, old, info['external_fixed_ips'])
        return {old.network_id}
    touched = set()
    if old is not None:
        touched.add(old.network_id)
        clear(tx, router, old)
    if info:
        touched.add(put(tx, wiring, context, router, info))
    return touched


def clear(tx: Session, router: Router, port: Port) -> None:
    """Take a router off its external network, unless a floating IP needs it there."""
    if tx.scalar(sa.select(FloatingIp.id).where(FloatingIp.router_id == router.id,
                                                FloatingIp.floating_network_id == port.network_id)):
        raise faults.RouterExternalGatewayInUseByFloatingIp(id=router.id, net_id=port.network_id)
    router.gateway_port_id = None
    router.enable_snat = True
    tx.flush()
    plugs.erase(tx, port)


def put(tx: Session, wiring: Wiring, context: Context, router: Router,
        info: Mapping[str, Any]) -> str:
    """Give a router without a gateway one; the external network's id."""
    id = info.get('network_id')
    network = networks.find(tx, context, id) if id else None
    if network is None:
        if not id:
            raise errors.Invalid('Invalid input for external_gateway_info. Reason: network_id is missing.')
        raise faults.NetworkNotFound(id=id)
    if not network.external:
        raise faults.BadRequest(reason=f'Network {id} is not an external network')
    check_no_overlap(tx, router, subnets.of_networks(tx, [network.id])[network.id])
    port = plugs.make(tx, wiring, context, network_id=network.id, project_id='',
                      fixed_ips=info.get('external_fixed_ips') or None, device_id=router.id,
                      device_owner=ports.GATEWAY, host=router.host or '', port_security_enabled=False)
    router.gateway_port_id = port.id
    router.enable_snat = bool(info.get('enable_snat', True))
    tx.flush()
    return network.id


def check_no_overlap(tx: Session, router: Router, coming: Sequence[Subnet], but: str | None = None) -> None:
    """Refuse a subnet whose range overlaps with one the router is on already."""
    ids = {address.subnet_id for port in routers.feet(tx, [router.id])[router.id] if port.id != but
           for address in port.addresses}
    for held in tx.scalars(sa.select(Subnet).where(Subnet.id.in_(ids))):
        for subnet in coming:
            if subnet.id == held.id:
                raise faults.BadRequest(reason=f'Router already has a port on subnet {subnet.id}')
            one, other = ipaddress.ip_network(held.cidr), ipaddress.ip_network(subnet.cidr)
            if one.version == other.version and one.overlaps(other):      # type: ignore[arg-type]
                raise faults.BadRequest(reason=(
                    f'Cidr {other} of subnet {subnet.id} overlaps with cidr {one} of subnet {held.id}'))


def reach(tx: Session, subnet: Subnet) -> set[str]:
    """Give gateways without an address of a new subnet's kind one of its own; the routers they belong to.

    A router that is inside on the same range stays as it is.
    """
    kind = sa.select(Address.port_id).join(Subnet, Subnet.id == Address.subnet_id).where(
        Address.port_id == Port.id, Subnet.ip_version == subnet.ip_version)
    bare = tx.scalars(sa.select(Port.id).where(Port.network_id == subnet.network_id,
                                               Port.device_owner == ports.GATEWAY, ~kind.exists()))
    reached = set()
    for id in bare.all():
        port = ports.locked(tx, id)
        router = tx.get(Router, port.device_id) if port is not None else None
        if port is None or router is None or not _is_apart(tx, router, subnet):
            continue
        if ipam.pick(tx, subnet, port, position=len(port.addresses)):
            router.revision_number += 1
            reached.add(router.id)
    return reached


def _is_apart(tx: Session, router: Router, subnet: Subnet) -> bool:
    try:
        check_no_overlap(tx, router, [subnet])
    except faults.BadRequest:
        return False
    return True
