"""Create servers -- POST /servers."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from nova.api import links
from nova.api.compute import app
from nova.api.fields import (
    ACCESS_V4,
    ACCESS_V6,
    DESCRIPTION,
    DISK_CONFIG,
    HOSTNAME,
    METADATA,
    NAME,
    TAG,
    TAGS,
    address,
    count,
    whole,
)
from nova.api.policy import ADMIN, MEMBER, rule
from nova.compute import create as creation
from nova.compute import flavors, hypervisors, keypairs
from nova.db.servers import Server
from strata import errors
from strata.rest import BOOLEAN, UUID, Body, Choice, Request, Response, between, since, true, until

FORCED_HOST = rule('servers:create:forced_host', ADMIN, 'zone:host:node as the availability zone.')
DESTINATION = rule('servers:create:requested_destination', ADMIN, 'host and hypervisor_hostname, since 2.74.')

_DEVICE_TAG = Choice(between('2.32', '2.36', TAG), since('2.42', TAG))
NETWORK = {'type': 'object', 'additionalProperties': False, 'properties': {
    'uuid': UUID, 'port': {'type': ['string', 'null'], 'format': 'uuid'},
    'fixed_ip': {'type': 'string', 'format': 'ip'}, 'tag': _DEVICE_TAG}}
_NETWORKS = {'type': 'array', 'items': NETWORK, 'maxItems': 64}
NETWORKS = Choice(until('2.36', _NETWORKS),
                  since('2.37', {'anyOf': [_NETWORKS, {'type': 'string', 'enum': ['auto', 'none']}]}))
DEVICE = {'type': 'object', 'additionalProperties': False, 'properties': {
    'source_type': {'type': 'string', 'enum': ['image', 'volume', 'snapshot', 'blank']},
    'destination_type': {'type': 'string', 'enum': ['local', 'volume']},
    'uuid': {'type': 'string', 'maxLength': 255}, 'image_id': UUID,
    'boot_index': {'type': ['integer', 'string', 'null'], 'pattern': '^-?[0-9]{1,5}$'},
    'delete_on_termination': BOOLEAN, 'volume_size': {'type': ['integer', 'string', 'null']},
    'device_name': {'type': ['string', 'null'], 'maxLength': 255}, 'no_device': {},
    'guest_format': {'type': ['string', 'null'], 'maxLength': 255},
    'device_type': {'type': ['string', 'null'], 'maxLength': 255},
    'disk_bus': {'type': ['string', 'null'], 'maxLength': 255},
    'virtual_name': {'type': 'string', 'maxLength': 255}, 'volume_id': UUID, 'snapshot_id': UUID,
    'tag': _DEVICE_TAG, 'volume_type': since('2.67', {'type': ['string', 'null'], 'maxLength': 255})}}
FILES = {'type': 'array', 'items': {
    'type': 'object', 'additionalProperties': False, 'required': ['path', 'contents'],
    'properties': {'path': {'type': 'string', 'minLength': 1},
                   'contents': {'type': 'string', 'format': 'base64'}}}}
_SERVERS = {'anyOf': [UUID, {'type': 'array', 'items': UUID, 'maxItems': 64}]}
_WORD = {'type': 'string', 'minLength': 1, 'maxLength': 255}
#: of the published ones the filters know ``same_host`` and ``different_host``; free ones may stand beside them
HINTS = {'type': 'object', 'maxProperties': 64, 'properties': {
    'same_host': _SERVERS, 'different_host': _SERVERS, 'query': {'type': ['string', 'object']},
    'target_cell': _WORD, 'different_cell': {'anyOf': [_WORD, {'type': 'array', 'items': _WORD, 'maxItems': 64}]},
    'build_near_host_ip': {'type': 'string', 'format': 'ip'},
    'cidr': {'type': 'string', 'pattern': r'^/[0-9a-f.:]+$', 'maxLength': 64}}}
CREATE = Body('server', {
    'name': NAME,
    'imageRef': {'type': 'string', 'maxLength': 255,
                 'pattern': r'^$|^[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$'},
    'flavorRef': {'type': ['string', 'integer'], 'minLength': 1, 'maxLength': 255},
    'adminPass': {'type': 'string', 'maxLength': 255}, 'metadata': METADATA,
    'networks': NETWORKS, 'OS-DCF:diskConfig': DISK_CONFIG, 'accessIPv4': ACCESS_V4, 'accessIPv6': ACCESS_V6,
    'personality': until('2.56', FILES),
    'availability_zone': {'type': ['string', 'null'], 'minLength': 1, 'maxLength': 255},
    'block_device_mapping': {'type': 'array', 'items': {'type': 'object'}},
    'block_device_mapping_v2': {'type': 'array', 'items': DEVICE, 'maxItems': 64},
    'config_drive': {'type': ['boolean', 'string', 'null'], 'enum': [*BOOLEAN['enum'], None]},
    'key_name': {'type': ['string', 'null'], 'minLength': 1, 'maxLength': 255},
    'min_count': count(1), 'max_count': count(1), 'return_reservation_id': BOOLEAN,
    'security_groups': {'type': 'array', 'maxItems': 64, 'items': {
        'type': 'object', 'properties': {'name': {'type': 'string', 'minLength': 1, 'maxLength': 255}}}},
    'user_data': {'type': ['string', 'null'], 'format': 'base64', 'maxLength': 65535},
    'description': since('2.19', DESCRIPTION), 'tags': since('2.52', TAGS),
    'trusted_image_certificates': since('2.63', {'type': ['array', 'null'], 'maxItems': 50,
                                                 'items': {'type': 'string', 'minLength': 1}}),
    'host': since('2.74', {'type': 'string', 'minLength': 1, 'maxLength': 255}),
    'hypervisor_hostname': since('2.74', {'type': 'string', 'minLength': 1, 'maxLength': 255}),
    'hostname': HOSTNAME,
}, required=['name', 'flavorRef', since('2.37', 'networks')],
    beside={'os:scheduler_hints': HINTS, 'OS-SCH-HNT:scheduler_hints': HINTS})


@app.post('/servers', body=CREATE, status=202, allow=rule('servers:create', MEMBER))
def create(req: Request, body: dict[str, Any]) -> Response:
    """Begin to make servers; they are there at once and ACTIVE later."""
    assert req.context is not None
    if not req.context.project_id:
        raise errors.Forbidden('A server belongs to a project: the token must be scoped to one.')
    zone, host, node = _destination(req, body)
    least = whole(body.get('min_count', 1), 'server/min_count', 1)
    most = whole(body['max_count'], 'server/max_count', 1) if 'max_count' in body else least
    image_id = _boot_image(body)
    _refuse_unbuilt(body)
    made, reservation = creation.create(
        req.wiring, req.context, name=body['name'].strip(), flavor=_flavor(req, str(body['flavorRef'])),
        image=_image(req, image_id), networks=_networks(req, body), key=_key(req, body.get('key_name')),
        security_groups=_groups(body), min_count=least, max_count=most, user_data=body.get('user_data'),
        config_drive=true(body.get('config_drive') or False), metadata=_metadata(req, body),
        availability_zone=zone, host=host, node=node, tags=body.get('tags', ()),
        description=body.get('description', None if req.version >= (2, 19) else body['name']),
        hostname=body.get('hostname'), access_ip_v4=address(body.get('accessIPv4')),
        access_ip_v6=address(body.get('accessIPv6')), personality=_files(req, body),
        scheduler_hints=_hints(req),
        disk_config=body.get('OS-DCF:diskConfig', 'MANUAL'))
    if true(body.get('return_reservation_id', False)):
        return Response(202, {'reservation_id': reservation})
    return _created(req, body, made[0])


def _created(req: Request, body: Mapping[str, Any], server: Server) -> Response:
    password = body.get('adminPass') or secrets.token_urlsafe(9)
    shown = {'id': server.id, 'links': links.links(req, 'servers', server.id), 'adminPass': password,
             'OS-DCF:diskConfig': body.get('OS-DCF:diskConfig', 'MANUAL'),
             'security_groups': [{'name': name} for name in _groups(body) or ['default']]}
    return Response(202, {'server': shown}, {'Location': shown['links'][0]['href']})


def _destination(req: Request, body: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """The zone, host and node asked for: ``zone:host:node``, or (since 2.74) members of their own."""
    zone, host, node = body.get('availability_zone'), None, None
    if zone and ':' in zone:
        parts = zone.split(':')
        if len(parts) > 3 or len(parts[0]) == 0 and not any(parts):
            raise errors.Invalid('Unable to parse availability_zone {zone}: it is zone:host:node', zone=zone)
        zone, host, node = [part or None for part in (*parts, '')[:3]]
        req.enforce(rule=FORCED_HOST)
    if body.get('host') or body.get('hypervisor_hostname'):
        if host or node:
            raise errors.Invalid('Unable to specify both a host in availability_zone and host or '
                                 'hypervisor_hostname.')
        req.enforce(rule=DESTINATION)
        host, node = body.get('host'), body.get('hypervisor_hostname')
    if node and not hypervisors.exists(req.wiring, node):
        raise errors.Invalid('No hypervisor matching {node} could be found.', node=node)
    return zone or req.wiring.conf.default_schedule_zone, host, node


def _flavor(req: Request, id: str) -> dict[str, Any]:
    try:
        flavor = flavors.get(req.wiring, req.context, id)
    except errors.NotFound as error:
        raise errors.Invalid(str(error)) from error
    return {'id': flavor.id, 'name': flavor.name, 'vcpus': flavor.vcpus, 'ram': flavor.ram_mb,
            'disk': flavor.root_gb, 'ephemeral': flavor.ephemeral_gb, 'swap': flavor.swap_mb,
            'extra_specs': flavor.extra_specs, 'description': flavor.description,
            'rxtx_factor': flavor.rxtx_factor}


def _image(req: Request, id: str) -> Mapping[str, Any]:
    """The image's record; the kernel and ramdisk that it names must be the caller's to see as well.

    The worker fetches them under the service's own name, to which no image is private.
    """
    image = _record(req, id, f'Image {id}')
    for name in ('kernel_id', 'ramdisk_id'):
        if image.get(name):
            _record(req, str(image[name]), f'Its {name} {str(image[name])[:40]}')
    return image


def _record(req: Request, id: str, what: str) -> Mapping[str, Any]:
    try:
        record: Mapping[str, Any] = req.wiring.images.show(req.context, id)
    except (errors.NotFound, errors.Forbidden) as error:
        raise errors.Invalid('Invalid input for field/attribute server/imageRef. {what} could not be found.',
                             what=what) from error
    return record


def _boot_image(body: Mapping[str, Any]) -> str:
    """The image to boot from, said by ``imageRef``, by a block device, or by both alike."""
    image_id: str = body.get('imageRef') or ''
    if body.get('block_device_mapping'):
        raise errors.Unsupported('server/block_device_mapping: booting from a volume is not supported here.')
    for index, device in enumerate(body.get('block_device_mapping_v2', [])):
        field = f'server/block_device_mapping_v2/{index}'
        source = device.get('source_type', 'image')
        target = device.get('destination_type', 'local' if source in ('image', 'blank') else 'volume')
        if source in ('volume', 'snapshot') or target == 'volume' or {'volume_id',
                                                                      'snapshot_id'} & set(device):
            raise errors.Unsupported(f'{field}: volumes are not supported here.')
        if source == 'blank':
            raise errors.Unsupported(f'{field}: disks beside those of the flavor are not supported here.')
        if str(device.get('boot_index', 0) or 0) != '0':
            raise errors.Invalid(f'Invalid input for field/attribute {field}/boot_index. The image is the '
                                 'boot disk: it must be 0.')
        named = device.get('uuid') or device.get('image_id') or ''
        if not named or (image_id and named != image_id):
            raise errors.Invalid(f'Invalid input for field/attribute {field}/uuid. '
                                 'It is not the image of imageRef.')
        image_id = named
    if not image_id:
        raise errors.Invalid('Invalid input for field/attribute server/imageRef. Invalid imageRef provided.')
    return image_id


def _refuse_unbuilt(body: Mapping[str, Any]) -> None:
    if body.get('trusted_image_certificates'):
        raise errors.Unsupported('server/trusted_image_certificates: signed images are not supported here.')


def _networks(req: Request, body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | str:
    """'auto', 'none', or what was listed; nothing said means the only network there is, or none."""
    asked = body.get('networks') or 'any'
    if isinstance(asked, list):
        for index, network in enumerate(asked):
            if not network.get('uuid') and not network.get('port'):
                raise errors.Invalid(f'Invalid input for field/attribute server/networks/{index}. '
                                     "'uuid' or 'port' is a required property")
    networks: Sequence[Mapping[str, Any]] | str = asked
    return networks


def _groups(body: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(group['name'] for group in body.get('security_groups', []) if 'name' in group))


def _key(req: Request, name: str | None) -> dict[str, Any] | None:
    if name is None:
        return None
    assert req.context is not None and req.context.user_id is not None
    try:
        pair = keypairs.get(req.wiring, req.context, req.context.user_id, name)
    except errors.NotFound as error:
        raise errors.Invalid('Invalid key_name provided.') from error
    return {'name': pair.name, 'public_key': pair.public_key, 'type': pair.type}


def _metadata(req: Request, body: Mapping[str, Any]) -> dict[str, str]:
    metadata: dict[str, str] = body.get('metadata', {})
    limit = req.wiring.conf.quota.metadata_items
    if 0 <= limit < len(metadata):
        raise errors.OverQuota('Maximum number of metadata items exceeds {limit}', limit=limit)
    return metadata


def _files(req: Request, body: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    files: Sequence[Mapping[str, str]] = body.get('personality', ())
    quota = req.wiring.conf.quota
    if 0 <= quota.injected_files < len(files):
        raise errors.OverQuota('Personality file limit exceeded', resource='injected_files',
                               requested=len(files),
                               used=0, limit=quota.injected_files)
    for file in files:
        if 0 <= quota.injected_file_path_length < len(file['path']):
            raise errors.OverQuota('Personality file path exceeds maximum length')
        if 0 <= quota.injected_file_content_bytes < len(file['contents']) * 3 // 4 - 2:
            raise errors.OverQuota('Personality file content limit exceeded')
    return files


def _hints(req: Request) -> Mapping[str, Any]:
    hints: Mapping[str, Any] = (req.json.get('os:scheduler_hints')
                                or req.json.get('OS-SCH-HNT:scheduler_hints') or {})
    if 'group' in hints:      # who relies on anti-affinity is not to be left without it in silence
        raise errors.Unsupported('os:scheduler_hints/group: server groups are not supported here.')
    return hints
