"""Create servers: check everything that can be checked, then write rows and wake a scheduler."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from nova import conf as options
from nova.compute import hostnames, rpc, verbs
from nova.db import quotas, services
from nova.db.operations import Operation
from nova.db.servers import Server, ServerTag
from nova.network import ports
from nova.wiring import Wiring
from strata import clock, errors, journal
from strata.context import Context
from strata.db import retried

GIB = 1024 ** 3
#: what of an image's record the build needs, and the views of rebuilt servers show
_KEPT = ('id', 'name', 'disk_format', 'container_format', 'size', 'virtual_size', 'checksum', 'os_hash_algo',
         'os_hash_value', 'min_disk', 'min_ram')


def create(wiring: Wiring, context: Context, *, name: str, flavor: Mapping[str, Any],
           image: Mapping[str, Any] | None, networks: Sequence[Mapping[str, Any]] | str = 'auto',
           security_groups: Sequence[str] = (), min_count: int = 1, max_count: int = 1,
           key: Mapping[str, Any] | None = None, user_data: str | None = None, config_drive: bool = False,
           metadata: Mapping[str, str] | None = None, availability_zone: str | None = None,
           host: str | None = None, node: str | None = None, tags: Sequence[str] = (),
           description: str | None = None, hostname: str | None = None, access_ip_v4: str | None = None,
           access_ip_v6: str | None = None, scheduler_hints: Mapping[str, Any] | None = None,
           personality: Sequence[Mapping[str, str]] = (),
           disk_config: str = 'MANUAL') -> tuple[list[Server], str]:
    """Begin ``max_count`` servers (at least ``min_count``, as the quota allows); returns them and a reservation id.

    ``flavor`` holds id, name, vcpus, ram (MiB), disk, ephemeral (GiB), swap
    (MiB), extra_specs; ``image`` is the image API's record; ``key`` holds name,
    public_key and type.  ``networks`` is 'auto', 'none' or a list of uuid,
    port, fixed_ip, tag.  ``host`` and ``node`` force the destination.

    Raises ``errors.Invalid``, ``NotFound``, ``Conflict`` or ``OverQuota``; then
    nothing has changed.
    """
    if min_count > max_count:
        raise errors.Invalid('min_count must be <= max_count')
    refuse_unfit(flavor, image)
    ports.validate(wiring, context, networks, security_groups, count=max_count)
    reservation = 'r-' + secrets.token_hex(4)
    values: dict[str, Any] = {
        'project_id': context.project_id, 'user_id': context.user_id, 'description': description,
        'reservation_id': reservation, 'task_state': verbs.SCHEDULING, 'availability_zone': availability_zone,
        'flavor_id': flavor['id'], 'flavor': dict(flavor), 'config_drive': config_drive,
        'key_name': key and key['name'], 'key_data': key and key['public_key'], 'key_type': key and key['type'],
        'user_data': user_data, 'access_ip_v4': access_ip_v4, 'access_ip_v6': access_ip_v6,
        'meta': dict(metadata or {}), **_image_values(image),
        'request': {'networks': networks if isinstance(networks, str) else [dict(each) for each in networks],
                    'security_groups': list(security_groups), 'hints': dict(scheduler_hints or {}),
                    'host': host, 'node': node, 'personality': [dict(each) for each in personality],
                    'disk_config': disk_config}}
    made = _write(wiring, context, name, hostname, values, list(tags), min_count, max_count)
    scheduler = rpc.Scheduler(wiring.bus)
    for _, operation in made:
        scheduler.perform(context, operation_id=operation.id)
    return [server for server, _ in made], reservation


def _image_values(image: Mapping[str, Any] | None) -> dict[str, Any]:
    if image is None:
        return {'image_id': None, 'image': {}}
    kept = {name: image.get(name) for name in _KEPT}
    kept['properties'] = image_properties(image)
    return {'image_id': image['id'], 'image': kept, 'kernel_id': kept['properties'].get('kernel_id'),
            'ramdisk_id': kept['properties'].get('ramdisk_id')}


def image_properties(image: Mapping[str, Any]) -> dict[str, Any]:
    """The free properties of an image record: what is not an attribute of every image."""
    return {name: value for name, value in image.items()
            if name not in _IMAGE_ATTRIBUTES and not name.startswith(('owner_specified.', 'self', 'os_glance'))}


_IMAGE_ATTRIBUTES = {*_KEPT, 'status', 'visibility', 'protected', 'owner', 'os_hidden', 'created_at', 'updated_at',
                     'tags', 'file', 'schema', 'locations', 'direct_url', 'stores', 'self'}


def refuse_unfit(flavor: Mapping[str, Any], image: Mapping[str, Any] | None) -> None:
    """``errors.Invalid`` if the image is not ready, or the flavor is too small for it."""
    if image is None:
        return
    if image.get('status') != 'active':
        raise errors.Invalid('Image {id} is not active.', id=image['id'])
    if flavor['ram'] < int(image.get('min_ram') or 0):
        raise errors.Invalid("Flavor's memory is too small for requested image.")
    if not flavor['disk']:
        return      # a root disk as large as the image
    if flavor['disk'] < int(image.get('min_disk') or 0):
        raise errors.Invalid('The size of the root disk of the flavor ({disk} GB) is smaller than the minimum '
                             'disk the image asks for ({least} GB).', disk=flavor['disk'], least=image['min_disk'])
    if flavor['disk'] * GIB < max(int(image.get('size') or 0), int(image.get('virtual_size') or 0)):
        raise errors.Invalid("Flavor's disk is too small for requested image.")


@retried
def _write(wiring: Wiring, context: Context, name: str, hostname: str | None, values: dict[str, Any],
           tags: list[str], min_count: int, max_count: int) -> list[tuple[Server, Operation]]:
    with wiring.db.transaction() as tx:
        _refuse_unknown_zone(wiring, tx, values)
        count = _take_quota(wiring, tx, context, values['flavor'], min_count, max_count)
        return [_row(tx, context, name, hostname, values, tags, index, max_count) for index in range(count)]


def _refuse_unknown_zone(wiring: Wiring, tx: Session, values: dict[str, Any]) -> None:
    zone, host = values['availability_zone'], values['request']['host']
    if not zone and not host:
        return
    known = services.every(tx, binary='nova-compute')
    if zone and zone not in {service.availability_zone for service in known} | {
            wiring.conf.default_availability_zone}:
        raise errors.Invalid('The requested availability zone is not available')
    if host and host not in {service.host for service in known}:
        raise errors.Invalid('Compute host {host} could not be found.', host=host)


def _take_quota(wiring: Wiring, tx: Session, context: Context, flavor: Mapping[str, Any], least: int,
                most: int) -> int:
    """How many servers the quota allows, at least ``least`` or ``errors.OverQuota``; taken at once."""
    defaults = options.quota_defaults(wiring.conf)
    each = {'instances': 1, 'cores': flavor['vcpus'], 'ram': flavor['ram']}
    assert context.project_id is not None and context.user_id is not None
    own = quotas.of_user(context.user_id, each)
    unlimited = dict.fromkeys(own, -1)
    count = most
    if most > least:
        allowed = quotas.limits(tx, context.project_id, {**defaults, **unlimited})
        used = quotas.usages(tx, context.project_id)
        room = [(allowed[name] - used.get(name, 0)) // amount for name, amount in {**each, **own}.items()
                if amount and allowed[name] >= 0]
        count = max(least, min([most, *room]))
    quotas.take(tx, context.project_id, {name: amount * count for name, amount in each.items()}, defaults)
    if quotas.counted(tx, context.project_id, context.user_id):
        quotas.take(tx, context.project_id, {name: amount * count for name, amount in own.items()}, unlimited)
    return count


def _row(tx: Session, context: Context, name: str, hostname: str | None, values: dict[str, Any],
         tags: list[str], index: int, many: int) -> tuple[Server, Operation]:
    id = clock.new_uuid()
    own = _numbered(name, index, 255) if many > 1 else name
    label = _numbered(hostname, index, 63 if len(hostname) < 64 else 255) if hostname and many > 1 else hostname
    server = Server(id=id, name=own, hostname=label or hostnames.sanitized(own, f'server-{id}'),
                    launch_index=index, **values)
    tx.add(server)
    tx.flush()
    tx.add_all(ServerTag(server_id=id, tag=tag) for tag in dict.fromkeys(tags))
    operation = journal.open(tx, Operation, context, resource_id=id, verb=verbs.BUILD.name, topic='scheduler')
    operation.action = verbs.BUILD.action
    return server, operation


def _numbered(text: str, index: int, most: int) -> str:
    """A name with its place among many, cut to ``most`` characters."""
    number = f'-{index + 1}'
    return text[:most - len(number)] + number


def release_quota(tx: Session, server: Server) -> None:
    """Give back what a deleted server used, in the transaction that deletes it."""
    given = {'instances': 1, 'cores': server.flavor['vcpus'], 'ram': server.flavor['ram']}
    quotas.give(tx, server.project_id, given)
    if quotas.counted(tx, server.project_id, server.user_id):
        quotas.give(tx, server.project_id, quotas.of_user(server.user_id, given))
