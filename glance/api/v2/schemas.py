"""Schemas -- /schemas: what images and members look like, as clients fetch it to check themselves."""

from typing import Any

from glance.api import app
from glance.conf import CONTAINERS, FORMATS
from strata.rest import PUBLIC, Request

UUID = '^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$'
VISIBILITIES = ['community', 'public', 'private', 'shared']
STATUSES = ['queued', 'saving', 'active', 'killed', 'deleted', 'uploading', 'importing', 'pending_delete',
            'deactivated']
MEMBER_STATUSES = ['pending', 'accepted', 'rejected']

_TEXT = {'type': 'string'}
_NULLABLE = ['null', 'string']


def _read(kind: Any, description: str, **more: Any) -> dict[str, Any]:
    return {'type': kind, 'readOnly': True, 'description': description, **more}


def base(disk_formats: list[str], container_formats: list[str]) -> dict[str, Any]:
    """The published attributes of an image."""
    return {
        'id': {'type': 'string', 'pattern': UUID, 'maxLength': 36,
               'description': 'An identifier for the image'},
        'name': {'type': _NULLABLE, 'maxLength': 255, 'description': 'Descriptive name for the image'},
        'status': _read('string', 'Status of the image', enum=STATUSES),
        'visibility': {'type': 'string', 'enum': VISIBILITIES, 'description': 'Scope of image accessibility'},
        'protected': {'type': 'boolean', 'description': 'If true, image will not be deletable.'},
        'os_hidden': {'type': 'boolean',
                      'description': 'If true, image will not appear in default image list response.'},
        'checksum': _read(_NULLABLE, 'md5 hash of image contents.', maxLength=32),
        'os_hash_algo': _read(_NULLABLE, 'Algorithm to calculate the os_hash_value', maxLength=64),
        'os_hash_value': _read(_NULLABLE, 'Hexdigest of the image contents using the algorithm specified by '
                                          'the os_hash_algo', maxLength=128),
        'owner': {'type': _NULLABLE, 'maxLength': 255, 'description': 'Owner of the image'},
        'size': _read(['null', 'integer'], 'Size of image file in bytes'),
        'virtual_size': _read(['null', 'integer'], 'Virtual size of image in bytes'),
        'container_format': {'type': _NULLABLE, 'enum': [None, *container_formats],
                             'description': 'Format of the container'},
        'disk_format': {'type': _NULLABLE, 'enum': [None, *disk_formats],
                        'description': 'Format of the disk'},
        'created_at': _read('string', 'Date and time of image registration'),
        'updated_at': _read('string', 'Date and time of the last image modification'),
        'tags': {'type': 'array', 'items': {'type': 'string', 'maxLength': 255},
                 'description': 'List of strings related to the image'},
        'min_ram': {'type': 'integer', 'minimum': 0, 'maximum': 2147483647,
                    'description': 'Amount of ram (in MB) required to boot image.'},
        'min_disk': {'type': 'integer', 'minimum': 0, 'maximum': 2147483647,
                     'description': 'Amount of disk space (in GB) required to boot image.'},
        'self': _read('string', 'An image self url'),
        'file': _read('string', 'An image file url'),
        'schema': _read('string', 'An image schema url'),
        'stores': _read('string', 'Store in which image data resides. Comma-separated, if there are several.'),
        'direct_url': _read('string', 'URL to access the image file kept in external store'),
        'locations': {'type': 'array', 'readOnly': True, 'items': {
            'type': 'object', 'required': ['url', 'metadata'],
            'properties': {'url': {'type': 'string', 'maxLength': 255}, 'metadata': {'type': 'object'}}},
            'description': 'A set of URLs to access the image file kept in external store'},
    }


#: properties with a meaning of their own; kept as all others are
WELL_KNOWN: dict[str, Any] = {
    'architecture': {'type': 'string', 'is_base': False, 'description': 'Operating system architecture'},
    'instance_uuid': {'type': 'string', 'is_base': False,
                      'description': 'The instance that this image is associated with'},
    'kernel_id': {'type': _NULLABLE, 'is_base': False, 'pattern': UUID, 'maxLength': 36,
                  'description': 'The kernel to be used when booting an AMI-style image'},
    'ramdisk_id': {'type': _NULLABLE, 'is_base': False, 'pattern': UUID, 'maxLength': 36,
                   'description': 'The ramdisk to be used when booting an AMI-style image'},
    'os_distro': {'type': 'string', 'is_base': False, 'description': 'Common name of the distribution'},
    'os_version': {'type': 'string', 'is_base': False,
                   'description': 'Operating system version as specified by the distributor'},
}

MEMBER: dict[str, Any] = {
    'created_at': {'type': 'string', 'description': 'Date and time of image member creation'},
    'updated_at': {'type': 'string', 'description': 'Date and time of last modification of image member'},
    'image_id': {'type': 'string', 'pattern': UUID, 'maxLength': 36,
                 'description': 'An identifier for the image'},
    'member_id': {'type': 'string', 'description': 'An identifier for the image member (tenantId)'},
    'status': {'type': 'string', 'enum': MEMBER_STATUSES, 'description': 'The status of this image member'},
    'schema': {'type': 'string', 'readOnly': True},
}


def image(disk_formats: list[str] = FORMATS, container_formats: list[str] = CONTAINERS) -> dict[str, Any]:
    """The schema of an image, as published."""
    return {'name': 'image', 'properties': {**base(disk_formats, container_formats), **WELL_KNOWN},
            'additionalProperties': _TEXT,
            'links': [{'rel': 'self', 'href': '{self}'}, {'rel': 'enclosure', 'href': '{file}'},
                      {'rel': 'describedby', 'href': '{schema}'}]}


def _configured(req: Request) -> dict[str, Any]:
    formats = req.wiring.conf.image_format
    return image(formats.disk_formats, formats.container_formats)



@app.get('/schemas/image', allow=PUBLIC)
def show_image(req: Request) -> dict[str, Any]:
    """The schema of an image."""
    return _configured(req)


@app.get('/schemas/images', allow=PUBLIC)
def show_images(req: Request) -> dict[str, Any]:
    """The schema of a list of images."""
    return {'name': 'images', 'links': [{'rel': 'first', 'href': '{first}'},
                                        {'rel': 'next', 'href': '{next}'},
                                        {'rel': 'describedby', 'href': '{schema}'}],
            'properties': {'images': {'type': 'array', 'items': _configured(req)}, 'first': _TEXT,
                           'next': _TEXT, 'schema': _TEXT}}


@app.get('/schemas/member', allow=PUBLIC)
def show_member(req: Request) -> dict[str, Any]:
    """The schema of a member."""
    return {'name': 'member', 'properties': MEMBER}


@app.get('/schemas/members', allow=PUBLIC)
def show_members(req: Request) -> dict[str, Any]:
    """The schema of a list of members."""
    return {'name': 'members', 'links': [{'rel': 'describedby', 'href': '{schema}'}],
            'properties': {'members': {'type': 'array', 'items': {'name': 'member', 'properties': MEMBER}},
                           'schema': _TEXT}}
