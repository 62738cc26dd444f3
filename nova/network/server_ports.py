"""The ports of servers: what nova-compute and the compute API ask for.

::

    create API -> validate      build -> allocate -> (plug) ... delete -> release
    views, metadata -> info, at_address

A request is ``{'uuid': network, 'fixed_ip': ..., 'port': ..., 'tag': ...}``.  Instead of a list of them,
``'auto'`` is the one network that is to be had (an error if there is none), ``'any'`` the same or
none at all, ``'none'`` no network.
"""

import dataclasses
import ipaddress
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from nova.db import floating_ips, networks, ports, security_groups, servers, subnets
from nova.db.networks import Network
from nova.db.ports import Port
from nova.db.servers import Server
from nova.network import ipam, plugs, quotas
from nova.network.rpc import wake
from nova.wiring import Wiring
from strata import db, errors
from strata.context import Context
from strata.db import retried

Requests = Sequence[Mapping[str, Any]] | str
#: called in the transaction that changes ports; raises if whoever changes them may no longer
Hold = Callable[[Session], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Plugged:
    """One card of a server: the port, and the tap device it will find on its host."""

    port_id: str
    network_id: str
    mac: str
    device: str
    mtu: int
    addresses: tuple[str, ...]
    tag: str | None = None


@retried
def allocate(wiring: Wiring, context: Context, server: Server, requests: Requests,
             groups: Sequence[str] | None = None, *, hold: Hold | None = None,
             plugging: bool = False) -> list[Plugged]:
    """The server's ports, on its host; made or bound if they are not there yet.

    Idempotent: called again, it answers with the same ports (moved to ``server.host``).
    ``groups`` (ids or names; default: those the server was created with) are for ports it makes.
    ``hold``: a worker's proof that the operation is still its own; ``plugging``: that it has them plugged next.
    Raises what ``validate`` does, and ``errors.Conflict`` when addresses have run out meanwhile.
    """
    with wiring.db.transaction() as tx:
        if hold is not None:
            hold(tx)
        _refuse_if_going(tx, server)
        found = ports.of_device(tx, [server.id], load=ports.carded())[server.id]
        fresh = not found
        if fresh:
            found = _make_all(tx, wiring, context, server, requests, groups)
        moved = [port for port in found if port.host != (server.host or '')]
        for port in moved:
            port.host, port.status = server.host or '', 'DOWN'
        tx.flush()
        plugged = [_plugged(port) for port in found]
    if fresh or moved:
        wake(wiring, context, networks={port.network_id for port in found},
             groups={id for port in found for id in port.security_group_ids},
             plugging=server.host if plugging else None)
    return plugged


def _refuse_if_going(tx: Session, server: Server) -> None:
    """A server that is being deleted gets no port: nobody would give it back."""
    if servers.is_going(tx, server.id):
        raise errors.Conflict('Instance {id} is being deleted.', id=server.id)


def _plugged(port: Port) -> Plugged:
    return Plugged(port_id=port.id, network_id=port.network_id, mac=port.mac_address, device=port.device,
                   mtu=port.network.link_mtu,
                   addresses=tuple(address.ip_address for address in port.addresses), tag=port.device_tag)


def _make_all(tx: Session, wiring: Wiring, context: Context, server: Server, requests: Requests,
              groups: Sequence[str] | None) -> list[Port]:
    words = (server.request or {}).get('security_groups', []) if groups is None else groups
    ids = _group_ids(tx, server.project_id, words)
    made = []
    for position, request in enumerate(_wanted(tx, server.project_id, requests)):
        values = {'device_id': server.id, 'device_owner': f"compute:{server.availability_zone or 'nova'}",
                  'host': server.host or '', 'position': position, 'device_tag': request.get('tag')}
        if request.get('port'):
            made.append(_bind(tx, request['port'], values))
            continue
        wish = [{'ip_address': request['fixed_ip']}] if request.get('fixed_ip') else None
        port = plugs.make(tx, wiring, context.elevated(), network_id=request['uuid'],
                          project_id=server.project_id,
                          fixed_ips=wish, security_groups=ids or None, counted=True, made_by_compute=True,
                          **values)
        made.append(port)
    return made


def _bind(tx: Session, id: str, values: Mapping[str, Any]) -> Port:
    """Take a port the user made, unless another server was faster."""
    port = tx.scalar(sa.select(Port).where(Port.id == id))
    if port is None:
        raise errors.Invalid('Port id {id} could not be found.', id=id[:80])
    try:
        db.swap(tx, port, expect={'device_id': ''}, revision_number=port.revision_number + 1, status='DOWN',
                **values)
    except errors.Busy as error:
        raise errors.Conflict('Port {id} is still in use.', id=id) from error
    return ports.some(tx, Port.id == id, load=ports.carded())[0]


def _group_ids(tx: Session, project_id: str, words: Sequence[str]) -> list[str]:
    """The ids of a project's groups that were given by id or name."""
    found = security_groups.named(tx, project_id, words) if words else []
    ids = []
    for word in words:
        matching = [group.id for group in found if group.id == word] or [
            group.id for group in found if group.name == word]
        if not matching and word == 'default':
            continue      # made on first use, when the port is
        if not matching:
            raise errors.Invalid('Security group {id} not found for project {project}.', id=word[:80],
                                 project=project_id)
        if len(matching) > 1:
            raise errors.Conflict('Multiple security groups found matching {name}. Use an ID to be more specific.',
                                  name=word[:80])
        ids.append(matching[0])
    return ids


def _wanted(tx: Session, project_id: str, requests: Requests) -> Sequence[Mapping[str, Any]]:
    """The requests as a list, with the project's only network in place of 'auto'."""
    if not isinstance(requests, str):
        return requests
    if requests == 'none':
        return []
    found = networks.usable(tx, project_id)
    if len(found) > 1:
        raise errors.Conflict('Multiple possible networks found, use a Network ID to be more specific.')
    if not found and requests == 'auto':
        raise errors.Invalid('Unable to automatically allocate a network for project {id}', id=project_id)
    return [{'uuid': network.id} for network in found]


def validate(wiring: Wiring, context: Context, requests: Requests, groups: Sequence[str] = (), *,
             count: int = 1) -> None:
    """Refuse what a server could not get, before it is created.

    ``errors.Invalid`` for what does not exist or does not fit, ``Conflict`` for what is taken or
    ambiguous, ``Forbidden`` for external networks and for want of quota.
    """
    project_id = str(context.project_id)
    with wiring.db.reading() as tx:
        wanted = _wanted(tx, project_id, requests)
        _group_ids(tx, project_id, groups)
        _check_ports(tx, context, [str(request['port']) for request in wanted if request.get('port')], count)
        fresh = [request for request in wanted if not request.get('port')]
        _check_networks(tx, context, fresh, count)
        _check_quota(tx, wiring, project_id, len(fresh) * count)


def _check_ports(tx: Session, context: Context, ids: Sequence[str], count: int) -> None:
    if len(set(ids)) < len(ids):
        raise errors.Invalid('The same port was requested twice.')
    if ids and count > 1:
        raise errors.Invalid('Unable to launch multiple instances with a single configured port ID. Please launch '
                             'your instance one by one with different ports.')
    found = {port.id: port for port in tx.scalars(
        ports.visible(context).where(Port.id.in_(ids)).options(selectinload(Port.addresses)))} if ids else {}
    for id in ids:
        if id not in found or (not context.is_admin and found[id].project_id != context.project_id):
            raise errors.Invalid('Port id {id} could not be found.', id=id[:80])
        if found[id].device_id:
            raise errors.Conflict('Port {id} is still in use.', id=id)
        if not found[id].addresses:
            raise errors.Invalid('Port {id} requires a FixedIP in order to be used.', id=id)


def _check_networks(tx: Session, context: Context, requests: Sequence[Mapping[str, Any]], count: int) -> None:
    ids = {str(request['uuid']) for request in requests}
    found: dict[str, Network] = {network.id: network for network in tx.scalars(
        networks.visible(context).where(Network.id.in_(ids)))} if ids else {}
    missing = ids - set(found)
    if missing:
        raise errors.Invalid('Network {id} could not be found.', id=sorted(missing)[0][:80])
    here = subnets.of_networks(tx, ids)
    for id, network in found.items():
        if network.external and not network.shared and not (
                context.is_admin or network.project_id == context.project_id):
            raise errors.Forbidden('It is not allowed to create an interface on external network {id}', id=id)
        if not here[id]:
            raise errors.Invalid('Network {id} requires a subnet in order to boot instances on.', id=id)
    for request in requests:
        if request.get('fixed_ip'):
            _check_fixed_ip(tx, str(request['uuid']), str(request['fixed_ip']), here[str(request['uuid'])],
                            count)


def _check_fixed_ip(tx: Session, network_id: str, text: str, here: Sequence[Any], count: int) -> None:
    if count > 1:
        raise errors.Invalid('Unable to launch multiple instances with a single fixed IP address.')
    address = str(ipaddress.ip_address(text))
    if not any(ipam.contains(subnet, address) for subnet in here):
        raise errors.Invalid('Fixed IP address {address} is not a valid IP address for network {id}.',
                             address=address, id=network_id)
    if ports.holder(tx, network_id, address) is not None:
        raise errors.Invalid('Fixed IP address {address} is already in use on network {id}.', address=address,
                             id=network_id)


def _check_quota(tx: Session, wiring: Wiring, project_id: str, more: int) -> None:
    limit = quotas.limits(tx, wiring, project_id)['port']
    if more and 0 <= limit < quotas.used(tx, project_id).get('port', 0) + more:
        raise errors.Forbidden('Maximum number of ports exceeded')


@retried
def release(wiring: Wiring, context: Context, server_id: str, *, hold: Hold | None = None) -> None:
    """Delete the ports that were made for a server and free those its user had made; idempotent.

    ``hold``: a worker's proof that the operation is still its own.
    """
    with wiring.db.transaction() as tx:
        if hold is not None:
            hold(tx)
        routers: set[str] = set()
        touched, groups = set(), set()
        for port in ports.of_device(tx, [server_id])[server_id]:
            touched.add(port.network_id)
            groups |= set(port.security_group_ids)
            if port.made_by_compute:
                routers |= plugs.erase(tx, port)
            else:
                port.device_id = port.device_owner = port.host = ''
                port.status, port.device_tag, port.position = 'DOWN', None, 0
                port.revision_number += 1
        tx.flush()
    wake(wiring, context, networks=touched, groups=groups, routers=routers)


def sweep(wiring: Wiring, context: Context) -> None:
    """Release the ports of servers that are gone: a worker that stalled may have made them too late."""
    with wiring.db.reading() as tx:
        alive = sa.select(Server.id).where(Server.id == Port.device_id, Server.deleted.is_(False)).exists()
        orphaned = set(tx.scalars(sa.select(Port.device_id).where(
            Port.device_owner.startswith('compute:'), Port.made_by_compute, Port.device_id != '', ~alive)))
    for id in sorted(orphaned):
        release(wiring, context, id)


def info(tx: Session, server_ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """The addresses of some servers in NIC order, in a constant number of queries.

    Each entry: network (its name), network_id, address, version, mac, type ('fixed' or 'floating'), cidr,
    gateway, dns, routes, mtu, port_id, subnet_id, device, tag.  A port without an address has no entry.
    """
    found: dict[str, list[dict[str, Any]]] = {id: [] for id in server_ids}
    held = ports.addressed(tx, found)
    if not held:
        return found
    shared = {row.id: _shared(row) for row in subnets.shown_by_servers(tx, {row.subnet_id for row in held})}
    floating = floating_ips.standing(tx, {row.id for row in held})
    for row in held:
        entry = {**shared[row.subnet_id], 'address': row.ip_address, 'mac': row.mac_address, 'port_id': row.id,
                 'device': ports.device_name(row.id), 'tag': row.device_tag}
        found[row.device_id].append(entry)
        found[row.device_id].extend(
            {**entry, 'address': each.floating_ip_address, 'version': 4, 'type': 'floating',
             'fixed': row.ip_address}
            for each in floating[row.id] if each.fixed_ip_address == row.ip_address)
    return found


def _shared(subnet: Any) -> dict[str, Any]:
    """What the entries of all addresses of a subnet have in common."""
    return {'network': subnet.network, 'network_id': subnet.network_id, 'version': subnet.ip_version,
            'type': 'fixed', 'subnet_id': subnet.id, 'cidr': subnet.cidr, 'gateway': subnet.gateway_ip,
            'dns': list(subnet.dns_nameservers or []), 'routes': list(subnet.host_routes or []),
            'dhcp': subnet.enable_dhcp, 'mode': subnet.ipv6_address_mode, 'mtu': subnet.mtu}


def at_address(tx: Session, network_id: str, address: str) -> str | None:
    """The id of the server that holds an address on a network; what the metadata service asks."""
    port = ports.holder(tx, network_id, address)
    if port is None or not port.device_owner.startswith('compute:'):
        return None
    return port.device_id or None


__all__ = ['Plugged', 'allocate', 'at_address', 'info', 'release', 'validate']
