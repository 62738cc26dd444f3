"""Key pairs -- /os-keypairs."""

from collections.abc import Mapping
from typing import Any

from nova.api.compute import app
from nova.api.fields import STRICT
from nova.api.policy import OWNER_OF_KEY, rule
from nova.compute import keypairs
from strata import clock
from strata.rest import POSITIVE, TEXT, Body, Choice, Query, Request, View, paging, since, until

NAME = Choice(
    until('2.91', {'type': 'string', 'minLength': 1, 'maxLength': 255, 'format': 'printable',
                   'pattern': '^[a-zA-Z0-9 _-]+$'}),
    since('2.92', {'type': 'string', 'minLength': 1, 'maxLength': 255, 'format': 'printable',
                   'pattern': '^[a-zA-Z0-9 @._-]+$'}))
CREATE = Body('keypair', {
    'name': NAME,
    'public_key': Choice(until('2.91', {'type': ['string', 'null'], 'maxLength': 16384}),
                         since('2.92', {'type': 'string', 'maxLength': 16384})),
    'type': since('2.2', {'type': 'string', 'enum': ['ssh', 'x509']}),
    'user_id': since('2.10', {'type': 'string', 'maxLength': 255}),
}, required=['name', since('2.92', 'public_key')])
ONE = Query({'user_id': since('2.10', TEXT)}, unknown=STRICT)
LIST = Query({'user_id': since('2.10', TEXT), 'limit': since('2.35', POSITIVE),
              'marker': since('2.35', TEXT)},
             unknown=STRICT)

BRIEF = View(name='name', public_key='public_key', fingerprint='fingerprint', type=since('2.2', 'type'))
MADE = View(user_id='user_id', also=BRIEF.members)
KEYPAIR = View({
    **MADE.members, 'id': 'id',
    'deleted': lambda pair: False, 'deleted_at': lambda pair: None,
    'created_at': lambda pair: clock.iso_micro(pair.created_at),
    'updated_at': lambda pair: clock.iso_micro(pair.updated_at),
})


def _user(req: Request, asked: Mapping[str, Any]) -> str:
    """Whose key pairs: the caller's, or (since 2.10, for admins) those of another user."""
    user_id = asked.get('user_id') or req.context.user_id      # type: ignore[union-attr]
    req.enforce({'user_id': user_id})
    return str(user_id)


@app.get('/os-keypairs', query=LIST, allow=rule('os-keypairs:index', OWNER_OF_KEY), late=True)
def index(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """A user's key pairs, by name."""
    user_id = _user(req, query)
    size = paging.limit(query.get('limit'), req.wiring.conf.osapi_max_limit)
    found = keypairs.find(req.wiring, req.context, user_id, marker=query.get('marker'), limit=size)
    listed: dict[str, Any] = {'keypairs': [{'keypair': BRIEF(req, pair)} for pair in found]}
    if req.version >= (2, 35) and (following := paging.links(req, found, size, marker='name')):
        listed['keypairs_links'] = following
    return listed


@app.post('/os-keypairs', body=CREATE, allow=rule('os-keypairs:create', OWNER_OF_KEY), late=True,
          status=[until('2.1', 200), since('2.2', 201)])
def create(req: Request, body: dict[str, Any]) -> dict[str, Any]:
    """Import a public key, or (until 2.91) make a new pair."""
    user_id = _user(req, body)
    pair, private = keypairs.create(req.wiring, req.context, user_id, name=body['name'],
                                    type=body.get('type', 'ssh'), public_key=body.get('public_key'))
    made = MADE(req, pair)
    if private is not None:
        made['private_key'] = private
    return {'keypair': made}


@app.get('/os-keypairs/{name}', query=ONE, allow=rule('os-keypairs:show', OWNER_OF_KEY), late=True)
def show(req: Request, name: str, query: dict[str, Any]) -> dict[str, Any]:
    """One key pair."""
    return {'keypair': KEYPAIR(req, keypairs.get(req.wiring, req.context, _user(req, query), name))}


@app.delete('/os-keypairs/{name}', query=ONE, allow=rule('os-keypairs:delete', OWNER_OF_KEY), late=True,
            status=[until('2.1', 202), since('2.2', 204)])
def delete(req: Request, name: str, query: dict[str, Any]) -> None:
    """Forget a key pair; servers made with it keep the key."""
    keypairs.delete(req.wiring, req.context, _user(req, query), name)
