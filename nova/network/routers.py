"""Routers: making, changing and deleting them, their gateway and their interfaces."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db import floating_ips, ports, routers, subnets, tags
from nova.db.ports import Port
from nova.db.routers import Router
from nova.db.subnets import Subnet
from nova.network import faults, gateways, plugs, quotas, revisions
from nova.network.rpc import wake
from nova.wiring import Wiring
from strata.context import Context
from strata.db import retried

MOST_ROUTES = 30


def get(tx: Session, context: Context, id: str) -> Router:
    """A visible router, or ``RouterNotFound``."""
    router = routers.find(tx, context, id)
    if router is None:
        raise faults.RouterNotFound(id=id[:80])
    return router


def _locked(tx: Session, id: str) -> Router:
    router = routers.locked(tx, id)
    if router is None:
        raise faults.RouterNotFound(id=id[:80])
    return router


@retried
def create(wiring: Wiring, context: Context, items: Sequence[Mapping[str, Any]]) -> Sequence[Router]:
    """Make routers, all or none."""
    made, touched = [], set()
    with wiring.db.transaction() as tx:
        for item in items:
            values = dict(item)
            info = values.pop('external_gateway_info', None)
            quotas.take(tx, wiring, values['project_id'], {'router': 1})
            router = Router(**values)
            tx.add(router)
            tx.flush()
            if info:
                touched.add(gateways.put(tx, wiring, context, router, info))
            made.append(router.id)
        tx.flush()
        found = {router.id: router for router in routers.some(tx, Router.id.in_(made))}
    wake(wiring, context, routers=made, networks=touched)
    return [found[id] for id in made]


@retried
def update(wiring: Wiring, context: Context, id: str, values: Mapping[str, Any],
           revision: int | None = None) -> Router:
    """Change a router: its names, its gateway, its routes."""
    touched = set()
    with wiring.db.transaction() as tx:
        router = _locked(tx, id)
        revisions.check(router, revision)
        changed = dict(values)
        if 'external_gateway_info' in changed:
            info = changed.pop('external_gateway_info')
            touched = gateways.change(tx, wiring, context, router, info)
        if 'routes' in changed:
            changed['routes'] = _routes(tx, router, changed['routes'] or [])
        revisions.revise(router, changed)
        tx.flush()
        router = get(tx, context.elevated(), id)
    wake(wiring, context, routers=[id], networks=touched)
    return router


def _routes(tx: Session, router: Router, routes: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Static routes in plain form; each next hop must be on a subnet the router is on."""
    if len(routes) > MOST_ROUTES:
        raise faults.RoutesExhausted(router_id=router.id, quota=MOST_ROUTES)
    near = _near(tx, router)
    plain: list[dict[str, str]] = []
    for route in routes:
        destination = ipaddress.ip_network(route['destination'], strict=False)
        nexthop = ipaddress.ip_address(route['nexthop'])
        item = {'destination': str(destination), 'nexthop': str(nexthop)}
        if destination.version != nexthop.version or not any(
                cidr.version == nexthop.version and nexthop in cidr for cidr in near):
            raise faults.InvalidRoutes(routes=item, reason='the nexthop is not connected with router')
        if item in plain:
            raise faults.InvalidRoutes(routes=item, reason='the same route is there twice')
        plain.append(item)
    return plain


def _near(tx: Session, router: Router) -> list[Any]:
    """The ranges of the subnets a router is on."""
    feet = {address.subnet_id for port in routers.feet(tx, [router.id])[router.id]
            for address in port.addresses}
    if router.gateway_port_id:
        feet |= set(tx.scalars(sa.select(ports.Address.subnet_id)
                               .where(ports.Address.port_id == router.gateway_port_id)))
    return [ipaddress.ip_network(cidr)
            for cidr in tx.scalars(sa.select(Subnet.cidr).where(Subnet.id.in_(feet)))]


@retried
def delete(wiring: Wiring, context: Context, id: str) -> None:
    """Delete a router that has no interface and whose gateway no floating IP needs."""
    touched = set()
    with wiring.db.transaction() as tx:
        router = _locked(tx, id)
        if routers.feet(tx, [id])[id]:
            raise faults.RouterInUse(id=id)
        if router.gateway_port_id:
            port = ports.find(tx, context.elevated(), router.gateway_port_id)
            if port is not None:
                touched.add(port.network_id)
                gateways.clear(tx, router, port)
        tags.clear(tx, id)
        quotas.give(tx, router.project_id, {'router': 1})
        tx.delete(router)
    wake(wiring, context, routers=[id], networks=touched)


@retried
def add_interface(wiring: Wiring, context: Context, id: str, *, subnet_id: str | None = None,
                  port_id: str | None = None) -> tuple[Router, Port, str]:
    """Join a router with a subnet, on the subnet's gateway address, or by a port made for it.

    Returns the router, the port, and the subnet's id.
    """
    if bool(subnet_id) == bool(port_id):
        raise faults.BadRequest(reason='Either subnet_id or port_id must be specified' if not subnet_id
                                else 'Cannot specify both subnet-id and port-id')
    with wiring.db.transaction() as tx:
        router = _locked(tx, id)
        port = (_foot_on(tx, wiring, context, router, subnet_id) if subnet_id
                else _foot_of(tx, context, router, str(port_id)))
        router.revision_number += 1
        tx.flush()
        port = _port(tx, port.id)
        router = get(tx, context.elevated(), id)
    wake(wiring, context, routers=[id], networks=[port.network_id])
    return router, port, port.addresses[0].subnet_id


def _port(tx: Session, id: str) -> Port:
    [port] = ports.some(tx, Port.id == id)
    return port


def _foot_on(tx: Session, wiring: Wiring, context: Context, router: Router, subnet_id: str) -> Port:
    subnet = subnets.find(tx, context, subnet_id)
    if subnet is None:
        raise faults.SubnetNotFound(id=subnet_id[:80])
    if subnet.gateway_ip is None:
        raise faults.BadRequest(reason=f'Subnet for router interface must have a gateway IP: {subnet_id}')
    if not context.is_admin and subnet.project_id != context.project_id and not subnet.network.shared:
        raise faults.SubnetNotFound(id=subnet_id[:80])
    gateways.check_no_overlap(tx, router, [subnet])
    _check_not_gateway(tx, router, subnet.network_id)
    holder = ports.holder(tx, subnet.network_id, subnet.gateway_ip)
    if holder is not None:
        raise faults.IpAddressInUse(network_id=subnet.network_id, ip_address=subnet.gateway_ip)
    return plugs.make(
        tx, wiring, context, network_id=subnet.network_id, project_id=router.project_id,
        fixed_ips=[{'subnet_id': subnet.id, 'ip_address': subnet.gateway_ip}], device_id=router.id,
        device_owner=ports.INTERFACE, host=router.host or '', port_security_enabled=False)


def _check_not_gateway(tx: Session, router: Router, network_id: str) -> None:
    if router.gateway_port_id and tx.scalar(sa.select(Port.network_id).where(
            Port.id == router.gateway_port_id)) == network_id:
        raise faults.BadRequest(reason=f'Network {network_id} is the external network of the router')


def _foot_of(tx: Session, context: Context, router: Router, port_id: str) -> Port:
    visible = ports.find(tx, context, port_id)
    port = ports.locked(tx, port_id) if visible is not None else None
    if port is None:
        raise faults.PortNotFound(id=port_id[:80])
    if port.device_id or port.host:
        raise faults.PortInUse(id=port.id, network_id=port.network_id, device_id=port.device_id)
    if not port.addresses:
        raise faults.BadRequest(reason=f'Router port must have at least one fixed IP: {port_id}')
    _check_not_gateway(tx, router, port.network_id)
    here = subnets.some(tx, [address.subnet_id for address in port.addresses])
    if sum(subnet.ip_version == 4 for subnet in here) > 1:
        raise faults.BadRequest(reason='Cannot have multiple IPv4 subnets on router port')
    gateways.check_no_overlap(tx, router, here, but=port.id)
    plugs.join(tx, context, port, [])
    revisions.revise(port, {'device_id': router.id, 'device_owner': ports.INTERFACE,
                            'host': router.host or '',
                            'port_security_enabled': False, 'allowed_address_pairs': []})
    return port


@retried
def remove_interface(wiring: Wiring, context: Context, id: str, *, subnet_id: str | None = None,
                     port_id: str | None = None) -> tuple[Router, Port, str]:
    """Part a router from a subnet; its port goes.  Returns as ``add_interface`` does."""
    if not subnet_id and not port_id:
        raise faults.BadRequest(reason='Either subnet_id or port_id must be specified')
    with wiring.db.transaction() as tx:
        router = _locked(tx, id)
        port = _foot(tx, router, subnet_id, port_id)
        held = [address.subnet_id for address in port.addresses]
        if subnet_id and subnet_id not in held:
            raise faults.RouterInterfaceNotFoundForSubnet(id=id, subnet_id=subnet_id)
        for each in held:
            _check_unused(tx, router, port, each)
        router.revision_number += 1
        plugs.erase(tx, port)
        tx.flush()
        router = get(tx, context.elevated(), id)
    wake(wiring, context, routers=[id], networks=[port.network_id])
    return router, port, subnet_id or held[0]


def _foot(tx: Session, router: Router, subnet_id: str | None, port_id: str | None) -> Port:
    for port in routers.feet(tx, [router.id])[router.id]:
        if port_id == port.id or (not port_id and subnet_id in [a.subnet_id for a in port.addresses]):
            found = ports.locked(tx, port.id)
            assert found is not None
            return found
    if port_id:
        raise faults.RouterInterfaceNotFound(id=router.id, port_id=port_id[:80])
    raise faults.RouterInterfaceNotFoundForSubnet(id=router.id, subnet_id=str(subnet_id)[:80])


def _check_unused(tx: Session, router: Router, port: Port, subnet_id: str) -> None:
    """Refuse to take an interface that a floating IP or a route needs."""
    for floating in floating_ips.of_routers(tx, [router.id])[router.id]:
        if tx.scalar(sa.select(ports.Address.port_id).where(
                ports.Address.subnet_id == subnet_id, ports.Address.port_id == floating.port_id)):
            raise faults.RouterInterfaceInUseByFloatingIP(id=router.id, subnet_id=subnet_id)
    subnet = tx.get(Subnet, subnet_id)
    assert subnet is not None
    cidr = ipaddress.ip_network(subnet.cidr)
    if any(ipaddress.ip_address(route['nexthop']) in cidr for route in router.routes or []):
        raise faults.RouterInterfaceInUseByRoute(id=router.id, subnet_id=subnet_id)


@retried
def change_routes(wiring: Wiring, context: Context, id: str, routes: Sequence[Mapping[str, str]], *,
                  add: bool) -> Router:
    """Add static routes to a router's, or take some away; doing so twice is a success."""
    with wiring.db.transaction() as tx:
        router = _locked(tx, id)
        plain = [{'destination': str(ipaddress.ip_network(route['destination'], strict=False)),
                  'nexthop': str(ipaddress.ip_address(route['nexthop']))} for route in routes]
        kept = [route for route in router.routes or [] if route not in plain]
        revisions.revise(router, {'routes': _routes(tx, router, [*kept, *plain] if add else kept)})
        tx.flush()
        router = get(tx, context.elevated(), id)
    wake(wiring, context, routers=[id])
    return router
