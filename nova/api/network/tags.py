"""Tags -- /{collection}/{id}/tags."""

from typing import Any

from sqlalchemy.orm import Session

from nova.api.network import app, floatingips, networks, ports, routers, security_groups, subnets
from nova.api.network.policy import ANY_READER, MEMBER, Rule
from nova.db import floating_ips as floating_ip_rows
from nova.db import networks as network_rows
from nova.db import ports as port_rows
from nova.db import routers as router_rows
from nova.db import security_groups as group_rows
from nova.db import subnets as subnet_rows
from nova.db import tags
from nova.network import faults
from strata import errors
from strata.rest import Document, Request

TAG = {'type': 'string', 'minLength': 1, 'maxLength': 255, 'pattern': '^[^,/]*$'}
TAGS = Document({'type': 'object', 'additionalProperties': False, 'required': ['tags'], 'properties': {
    'tags': {'type': 'array', 'items': TAG, 'maxItems': 256, 'uniqueItems': True}}})

FINDERS = {'networks': (networks.NETWORK.name, network_rows.find),
           'subnets': (subnets.SUBNET.name, subnet_rows.find),
           'ports': (ports.PORT.name, port_rows.find),
           'routers': (routers.ROUTER.name, router_rows.find),
           'floatingips': (floatingips.FLOATING_IP.name, floating_ip_rows.find),
           'security-groups': (security_groups.GROUP.name, group_rows.find)}


def _row(req: Request, tx: Session, collection: str, id: str) -> Any:
    """The visible resource whose tags are meant, once the caller's right to it is settled."""
    name, find = FINDERS[collection]
    row = find(tx, req.context, id)      # type: ignore[operator]
    if row is None:
        raise faults.TagResourceNotFound(resource=name, id=id[:80])
    req.enforce({'project_id': row.project_id})
    return row


def _touch(row: Any) -> None:
    row.revision_number += 1


def _check(tag: str) -> None:
    if not tag or len(tag) > 255 or ',' in tag:
        raise errors.Invalid("Invalid input for tag. '{tag}' is no tag.", tag=tag[:80])


def declare(collection: str) -> None:
    """The routes of one kind of resource."""
    name = FINDERS[collection][0]
    base = f'/{collection}/{{id}}/tags'
    get, change = (Rule(f'get_{name}:tags', ANY_READER, 'See tags.'),
                   Rule(f'update_{name}:tags', MEMBER, 'Change tags.'))

    @app.get(base, allow=get, late=True)
    def index(req: Request, id: str) -> dict[str, Any]:
        """All tags."""
        with req.wiring.db.reading() as tx:
            return {'tags': _row(req, tx, collection, id).tags}

    @app.put(base, body=TAGS, allow=change, late=True)
    def replace(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
        """These tags, and none but these."""
        with req.wiring.db.transaction() as tx:
            _touch(_row(req, tx, collection, id))
            tags.replace(tx, id, body['tags'])
        return {'tags': body['tags']}

    @app.delete(base, allow=change, late=True, status=204)
    def clear(req: Request, id: str) -> None:
        """No tags."""
        with req.wiring.db.transaction() as tx:
            _touch(_row(req, tx, collection, id))
            tags.clear(tx, id)

    @app.get(f'{base}/{{tag}}', allow=get, late=True, status=204)
    def confirm(req: Request, id: str, tag: str) -> None:
        """Whether it has a tag."""
        with req.wiring.db.reading() as tx:
            if tag not in _row(req, tx, collection, id).tags:
                raise faults.TagNotFound(tag=tag[:80])

    @app.put(f'{base}/{{tag}}', allow=change, late=True, status=201)
    def add(req: Request, id: str, tag: str) -> None:
        """One tag more."""
        _check(tag)
        with req.wiring.db.transaction() as tx:
            _touch(_row(req, tx, collection, id))
            tags.add(tx, id, tag)

    @app.delete(f'{base}/{{tag}}', allow=change, late=True, status=204)
    def remove(req: Request, id: str, tag: str) -> None:
        """One tag less."""
        with req.wiring.db.transaction() as tx:
            _touch(_row(req, tx, collection, id))
            if not tags.remove(tx, id, tag):
                raise faults.TagNotFound(tag=tag[:80])


for each in FINDERS:
    declare(each)
