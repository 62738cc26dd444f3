"""How images and members look in responses."""

from typing import Any

from glance.registry.interface import Image, Member

#: attributes as the registry has them, beside times, tags and properties
_SAME = ('id', 'name', 'status', 'visibility', 'owner', 'size', 'virtual_size', 'disk_format',
         'container_format', 'checksum', 'os_hash_algo', 'os_hash_value', 'min_disk', 'min_ram', 'protected',
         'os_hidden')


def moment(iso: str) -> str:
    """A registry's time in the form of the API: whole seconds, ``Z``."""
    return iso[:19] + 'Z'


def image(image: Image) -> dict[str, Any]:
    """An image; its properties stand beside its attributes.  ``stores`` appears with the data."""
    path = f'/v2/images/{image.id}'
    stores = {'stores': image.blob['store']} if image.blob else {}
    return {**image.properties, **stores, **{name: getattr(image, name) for name in _SAME}, 'tags': image.tags,
            'created_at': moment(image.created_at), 'updated_at': moment(image.updated_at),
            'self': path, 'file': path + '/file', 'schema': '/v2/schemas/image'}


def member(member: Member) -> dict[str, Any]:
    """A member of an image."""
    return {'image_id': member.image_id, 'member_id': member.member_id, 'status': member.status,
            'created_at': moment(member.created_at), 'updated_at': moment(member.updated_at),
            'schema': '/v2/schemas/member'}
