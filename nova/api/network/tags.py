"""Tags -- /{collection}/{id}/tags."""

from typing import Any

from nova.api.network import app
from nova.api.network.policy import ANY_READER, MEMBER, Rule
from nova.network import faults, tags
from strata import errors
from strata.rest import Document, Request

TAG = {'type': 'string', 'minLength': 1, 'maxLength': 255, 'pattern': '^[^,/]*$'}
TAGS = Document({'type': 'object', 'additionalProperties': False, 'required': ['tags'], 'properties': {
    'tags': {'type': 'array', 'items': TAG, 'maxItems': 256, 'uniqueItems': True}}})


def _held(req: Request, collection: str, id: str) -> list[str]:
    """The tags of a visible resource, once the caller's right to it is settled."""
    with req.wiring.db.reading() as tx:
        row = tags.get(tx, req.context, collection, id)
        req.enforce({'project_id': row.project_id})
        held: list[str] = row.tags
        return held


def _check(tag: str) -> None:
    if not tag or len(tag) > 255 or ',' in tag:
        raise errors.Invalid("Invalid input for tag. '{tag}' is no tag.", tag=tag[:80])


def declare(collection: str, name: str) -> None:
    """The routes of one kind of resource."""
    base = f'/{collection}/{{id}}/tags'
    get = Rule(f'get_{name}:tags', ANY_READER, 'See tags.')
    change = Rule(f'update_{name}:tags', MEMBER, 'Change tags.')

    @app.get(base, allow=get, late=True)
    def index(req: Request, id: str) -> dict[str, Any]:
        """All tags."""
        return {'tags': _held(req, collection, id)}

    @app.put(base, body=TAGS, allow=change, late=True)
    def replace(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
        """These tags, and none but these."""
        _held(req, collection, id)
        tags.replace(req.wiring, req.context, collection, id, body['tags'])
        return {'tags': body['tags']}

    @app.post(base, body=TAGS, allow=change, late=True, status=201)
    def extend(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
        """These tags too."""
        _held(req, collection, id)
        tags.add(req.wiring, req.context, collection, id, body['tags'])
        return {'tags': body['tags']}

    @app.delete(base, allow=change, late=True, status=204)
    def clear(req: Request, id: str) -> None:
        """No tags."""
        _held(req, collection, id)
        tags.replace(req.wiring, req.context, collection, id, ())

    @app.get(f'{base}/{{tag}}', allow=get, late=True, status=204)
    def confirm(req: Request, id: str, tag: str) -> None:
        """Whether it has a tag."""
        if tag not in _held(req, collection, id):
            raise faults.TagNotFound(tag=tag[:80])

    @app.put(f'{base}/{{tag}}', allow=change, late=True, status=201)
    def add(req: Request, id: str, tag: str) -> None:
        """One tag more."""
        _check(tag)
        _held(req, collection, id)
        tags.add(req.wiring, req.context, collection, id, [tag])

    @app.delete(f'{base}/{{tag}}', allow=change, late=True, status=204)
    def remove(req: Request, id: str, tag: str) -> None:
        """One tag less."""
        _held(req, collection, id)
        tags.remove(req.wiring, req.context, collection, id, tag)


for each, (kind, _) in tags.KINDS.items():
    declare(each, kind)
