"""How servers look: one page's worth of facts gathered in a few queries, then a dict for each."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from typing import Any

from nova.api import links
from nova.api.policy import ADMIN, READER, rule
from nova.compute import instance_names, verbs
from nova.db import server_lists, servers, services
from nova.db.servers import Server
from nova.network import ports
from nova.wiring import Wiring
from strata import clock
from strata.rest import Linked, Request, View, since

EXTENDED = rule('os-extended-server-attributes', ADMIN, 'Where a server runs, and what it was made with.')
HOST_STATUS = rule('servers:show:host_status', ADMIN)
FLAVOR_SPECS = rule('servers:show:flavor-extra-specs', READER)

#: statuses in which progress is shown
_PROGRESSING = frozenset({'ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE', 'MIGRATING'})


@dataclasses.dataclass
class Facts:
    """What the views of one page need beside the rows."""

    addresses: dict[str, list[dict[str, Any]]]
    groups: dict[str, list[str]]
    tags: dict[str, list[str]]
    hosts: dict[str, Any]      # rows of services.heard_of
    up: frozenset[str]
    extended: bool
    host_status: bool
    flavor_specs: bool
    default_zone: str


def gather(req: Request, page: Sequence[Server], *, plain: bool = False) -> Facts:
    """The facts for a page, in a constant number of queries; ``plain`` spares what only ``full`` shows."""
    wiring: Wiring = req.wiring
    ids = [server.id for server in page]
    with wiring.db.reading() as tx:
        now = wiring.db.now(tx)
        known = {service.host: service for service in services.heard_of(tx, 'nova-compute')}
        return Facts(
            addresses=ports.info(tx, ids),
            groups={} if plain else server_lists.groups_of(tx, ids),
            tags=servers.tags_of(tx, ids) if req.version >= (2, 26) else {},
            hosts=known,
            up=frozenset(host for host, service in known.items()
                         if services.is_up(service, now, wiring.conf.service_down_time)),
            extended=not plain and req.allows(EXTENDED),
            host_status=not plain and req.version >= (2, 16) and req.allows(HOST_STATUS),
            flavor_specs=req.version >= (2, 47) and req.allows(FLAVOR_SPECS),
            default_zone=wiring.conf.default_availability_zone)


@functools.lru_cache(4096)
def host_id(project_id: str, host: str | None) -> str:
    """A name for the host that tells a project's servers apart by host, and nothing else."""
    return hashlib.sha224((project_id + host).encode()).hexdigest() if host else ''


def _image(req: Request, server: Server) -> Any:
    return links.bookmark(req, 'images', server.image_id) if server.image_id else ''


def _flavor(req: Request, server: Server, facts: Facts) -> dict[str, Any]:
    if req.version < (2, 47):
        return links.bookmark(req, 'flavors', server.flavor_id)
    flavor = server.flavor
    shown = {'vcpus': flavor['vcpus'], 'ram': flavor['ram'], 'disk': flavor['disk'],
             'ephemeral': flavor.get('ephemeral') or 0, 'swap': flavor.get('swap') or 0,
             'original_name': flavor['name']}
    if facts.flavor_specs:
        shown['extra_specs'] = flavor.get('extra_specs') or {}
    return shown


def addresses(found: Sequence[dict[str, Any]], *, extended: bool) -> dict[str, list[dict[str, Any]]]:
    """Addresses by the name of their network; ``extended`` adds kind and MAC address."""
    networks: dict[str, list[dict[str, Any]]] = {}
    for address in found:
        shown: dict[str, Any] = {'version': address['version'], 'addr': address['address']}
        if extended:
            shown['OS-EXT-IPS:type'] = address['type']
            shown['OS-EXT-IPS-MAC:mac_addr'] = address['mac']
        networks.setdefault(address['network'], []).append(shown)
    return networks


def _fault(server: Server, *, details: bool) -> dict[str, Any]:
    shown = {'code': server.fault_code, 'created': clock.iso(server.fault_at),
             'message': server.fault_message}
    if server.fault_details and (details or server.fault_code != 500):
        shown['details'] = server.fault_details
    return shown


CORE = View({
    'id': 'id', 'name': 'name', 'tenant_id': 'project_id', 'user_id': 'user_id', 'metadata': 'meta',
    'hostId': lambda server: host_id(server.project_id, server.host),
    'image': Linked(_image),
    'created': lambda server: clock.iso(server.created_at),
    'updated': lambda server: clock.iso(server.updated_at or server.created_at),
    'accessIPv4': lambda server: server.access_ip_v4 or '',
    'accessIPv6': lambda server: server.access_ip_v6 or '',
    'links': Linked(lambda req, server: links.links(req, 'servers', server.id)),
    'OS-DCF:diskConfig': lambda server: server.request.get('disk_config') or 'MANUAL',
    'locked': since('2.9', lambda server: server.locked_by is not None),
    'description': since('2.19', 'description'),
    'trusted_image_certificates': since('2.63', lambda server: None),
    'locked_reason': since('2.73', 'locked_reason'),
})
FULL = View({
    **CORE.members,
    'key_name': 'key_name',
    'config_drive': lambda server: 'True' if server.config_drive else '',
    'OS-EXT-STS:task_state': 'task_state',
    'OS-EXT-STS:vm_state': 'vm_state',
    'OS-EXT-STS:power_state': 'power_state',
    'OS-SRV-USG:launched_at': lambda server: clock.iso_micro(server.launched_at),
    'OS-SRV-USG:terminated_at': lambda server: clock.iso_micro(server.terminated_at),
    'os-extended-volumes:volumes_attached': lambda server: [],
    'pinned_availability_zone': since('2.96', 'availability_zone'),
    'OS-EXT-SRV-ATTR:hostname': since('2.90', 'hostname'),
})
#: shown to those whom ``EXTENDED`` allows
OPERATOR = View({
    'OS-EXT-SRV-ATTR:host': 'host',
    'OS-EXT-SRV-ATTR:hypervisor_hostname': 'node',
    'OS-EXT-SRV-ATTR:instance_name': Linked(lambda req, server: instance_names.named(req.wiring, server)),
    'OS-EXT-SRV-ATTR:hostname': since('2.3', 'hostname'),
    'OS-EXT-SRV-ATTR:kernel_id': since('2.3', lambda server: server.kernel_id or ''),
    'OS-EXT-SRV-ATTR:ramdisk_id': since('2.3', lambda server: server.ramdisk_id or ''),
    'OS-EXT-SRV-ATTR:launch_index': since('2.3', 'launch_index'),
    'OS-EXT-SRV-ATTR:reservation_id': since('2.3', 'reservation_id'),
    'OS-EXT-SRV-ATTR:root_device_name': since('2.3', 'root_device_name'),
    'OS-EXT-SRV-ATTR:user_data': since('2.3', 'user_data'),
})
BRIEF = View(id='id', name='name', links=CORE.members['links'])


def core(req: Request, server: Server, facts: Facts) -> dict[str, Any]:
    """The members that every full answer has, from an update before 2.75 up to a show."""
    shown = CORE(req, server)
    return _stateful(req, server, facts, shown, extended=False)


def full(req: Request, server: Server, facts: Facts, *, alone: bool = True) -> dict[str, Any]:
    """A server as show (``alone``) and detail have it."""
    shown = FULL(req, server)
    if facts.extended:
        shown.update(OPERATOR(req, server))
    if facts.host_status:
        shown['host_status'] = host_status(server, facts)
    shown['OS-EXT-AZ:availability_zone'] = zone(server, facts)
    names = facts.groups.get(server.id)
    if names is None and server.vm_state == verbs.BUILDING and server.request.get('networks') != 'none':
        names = server.request.get('security_groups') or ['default']
    if names:
        shown['security_groups'] = [{'name': name} for name in names]
    _stateful(req, server, facts, shown, extended=True)
    if not alone:
        shown.pop('server_groups', None)
    return shown


def _stateful(req: Request, server: Server, facts: Facts, shown: dict[str, Any], *,
              extended: bool) -> dict[str, Any]:
    status = verbs.status(server.vm_state, server.task_state)
    shown['status'] = status
    shown['flavor'] = _flavor(req, server, facts)
    shown['addresses'] = addresses(facts.addresses.get(server.id, ()), extended=extended)
    if status in _PROGRESSING:
        shown['progress'] = server.progress
    if server.fault_code is not None and status in ('ERROR', 'DELETED'):
        shown['fault'] = _fault(server, details=bool(req.context and req.context.is_admin))
    if req.version >= (2, 26):
        shown['tags'] = facts.tags.get(server.id, [])
    if req.version >= (2, 71):
        shown['server_groups'] = []
    return shown


def zone(server: Server, facts: Facts) -> str:
    """The zone of a server's host, or the one it asked for while it has none."""
    service = facts.hosts.get(server.host) if server.host else None
    if service is not None:
        return service.availability_zone
    return server.availability_zone or ('' if server.host is None else facts.default_zone)


def host_status(server: Server, facts: Facts) -> str:
    """What administrators see of a server's host."""
    if not server.host:
        return ''
    service = facts.hosts.get(server.host)
    if service is None:
        return 'UNKNOWN'
    if service.forced_down:
        return 'DOWN'
    if service.disabled:
        return 'MAINTENANCE'
    return 'UP' if server.host in facts.up else 'UNKNOWN'
