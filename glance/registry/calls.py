"""The registry's methods as HTTP: one table for the server and for the client.

Parameters named in the path go there, all others into the JSON body.  The
caller that glance-api works for travels in a header; who may send it is
decided by the service token of the request.
"""

import base64
import binascii
import dataclasses

import orjson

from strata import errors
from strata.context import Context

#: carries the context of glance-api's own caller; believed of services only
ACTING = 'X-Acting-Context'


@dataclasses.dataclass(frozen=True)
class Call:
    """Where a method is; ``again``: it may be repeated when its answer was lost."""

    verb: str
    path: str
    again: bool = False


CALLS = {
    'create': Call('POST', '/images'),
    'search': Call('POST', '/images/search', again=True),
    'get': Call('GET', '/images/{id}', again=True),
    'update': Call('PATCH', '/images/{id}'),
    'delete': Call('DELETE', '/images/{id}'),
    'add_tag': Call('PUT', '/images/{id}/tags', again=True),
    'remove_tag': Call('DELETE', '/images/{id}/tags'),
    'members': Call('POST', '/images/{id}/members/search', again=True),
    'member': Call('POST', '/images/{id}/members/find', again=True),
    'add_member': Call('POST', '/images/{id}/members'),
    'set_member': Call('PUT', '/images/{id}/members', again=True),
    'remove_member': Call('DELETE', '/images/{id}/members'),
    'begin': Call('POST', '/images/{id}/blobs'),
    'staged': Call('GET', '/images/{id}/blobs/staged', again=True),
    'renew': Call('PUT', '/blobs/{blob_id}/lease', again=True),
    'finish': Call('POST', '/blobs/{blob_id}/finish'),
    'abandon': Call('POST', '/blobs/{blob_id}/abandon', again=True),
    'forget': Call('DELETE', '/blobs/{blob_id}', again=True),
    'expire': Call('POST', '/blobs/expire', again=True),
    'doomed': Call('POST', '/blobs/doomed', again=True),
}

#: errors that keep their kind over HTTP; a fenced writer is told 410
KINDS: dict[str, type[errors.Error]] = {kind.__name__: kind for kind in (
    errors.Invalid, errors.Forbidden, errors.NotFound, errors.Conflict, errors.TooLarge, errors.Fenced)}


def kind_of(error: errors.Error) -> str:
    """The name an error goes by: its own, or that of the nearest kind the other side knows."""
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__name__ in KINDS), '')


def packed(context: Context) -> str:
    """A context as a header's value."""
    return base64.urlsafe_b64encode(orjson.dumps(context.to_dict())).decode()


def unpacked(value: str | None) -> Context:
    """The context in a header; ``errors.Invalid`` if there is none."""
    try:
        return Context.from_dict(orjson.loads(base64.urlsafe_b64decode(value or '')))
    except (ValueError, binascii.Error, AttributeError, TypeError) as error:
        raise errors.Invalid('{header} is missing or malformed.', header=ACTING) from error
