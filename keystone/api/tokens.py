"""Tokens -- /auth/tokens."""

from typing import Any

from keystone.api import app
from keystone.api.checks import ADMIN, READER, SERVICE
from keystone.api.listing import FLAG
from keystone.auth import flow
from keystone.token import tokens
from strata import errors
from strata.rest import PUBLIC, Document, Query, Request, Response, Rule

ID = {'type': 'string', 'minLength': 1, 'maxLength': 64}
TEXT = {'type': 'string', 'maxLength': 255}
DOMAIN = {'type': 'object', 'properties': {'id': ID, 'name': TEXT}}
USER = {'type': 'object', 'properties': {'id': ID, 'name': TEXT, 'domain': DOMAIN}}
SECRET = {'type': 'string', 'maxLength': 16384}

IDENTITY = {
    'type': 'object', 'required': ['methods'],
    'properties': {
        'methods': {'type': 'array', 'minItems': 1, 'maxItems': 32, 'items': {'type': 'string'}},
        'password': {'type': 'object', 'required': ['user'], 'properties': {
            'user': {'type': 'object', 'required': ['password'], 'properties': {
                'id': ID, 'name': TEXT, 'domain': DOMAIN, 'password': SECRET}}}},
        'token': {'type': 'object', 'required': ['id'], 'properties': {'id': {'type': 'string'}}},
        'application_credential': {'type': 'object', 'required': ['secret'], 'properties': {
            'id': ID, 'name': TEXT, 'secret': SECRET, 'user': USER}}}}
SCOPE = {'anyOf': [
    {'type': 'string', 'enum': ['unscoped']},
    {'type': 'object', 'additionalProperties': False, 'minProperties': 1, 'properties': {
        'project': {'type': 'object', 'properties': {'id': ID, 'name': TEXT, 'domain': DOMAIN}},
        'domain': DOMAIN, 'unscoped': {'type': 'object'},
        'system': {'type': 'object', 'required': ['all'], 'properties': {'all': {'enum': [True]}}}}}]}
CREATE = Document({'type': 'object', 'required': ['auth'], 'properties': {
    'auth': {'type': 'object', 'required': ['identity'],
             'properties': {'identity': IDENTITY, 'scope': SCOPE}}}})

SUBJECT = 'user_id:%(target.token.user_id)s'
VALIDATE = Rule('identity:validate_token', f'{READER} or {SERVICE} or {SUBJECT}', 'Show a token.')
CHECK = Rule('identity:check_token', f'{READER} or {SERVICE} or {SUBJECT}', 'See whether a token is good.')
REVOKE = Rule('identity:revoke_token', f'{ADMIN} or {SUBJECT}', 'Take a token back.')
SHOW = Query({'nocatalog': FLAG, 'allow_expired': FLAG})


def answer(req: Request, token: tokens.Token, status: int, *, with_catalog: bool) -> Response:
    """A token as the response of issuing or validating it."""
    return Response(status, tokens.rendered(req.wiring, token, with_catalog=with_catalog),
                    headers={'X-Subject-Token': token.id, 'Vary': 'X-Auth-Token'},
                    content_type='application/json')


@app.post('/auth/tokens', allow=PUBLIC, body=CREATE, query=SHOW, status=201)
def issue(req: Request, body: Any, query: dict[str, bool]) -> Response:
    """Authenticate, and get a token."""
    token = flow.authenticate(req.wiring, body['auth'], req.context)
    return answer(req, token, 201, with_catalog=not query.get('nocatalog'))


def _subject(req: Request, *, allow_expired: bool = False) -> tokens.Token:
    """The token in X-Subject-Token, if the caller may do that with it.

    A token that is no good belongs to nobody, so it is 404 to everybody; whoever has one could as
    well use it to see that.
    """
    token = tokens.validate(req.wiring, req.header('X-Subject-Token'), allow_expired=allow_expired)
    _check_rules(req, token)
    req.enforce({'target.token.user_id': token.payload.user_id})
    return token


def _check_rules(req: Request, token: tokens.Token) -> None:
    """A token with access rules is shown only to services that say they enforce them."""
    application = token.subject.application
    if application and application.access_rules and not req.header('OpenStack-Identity-Access-Rules'):
        raise errors.NotFound('Could not find token.')


@app.get('/auth/tokens', allow=VALIDATE, late=True, query=SHOW)
def show(req: Request, query: dict[str, bool]) -> Response:
    """Validate a token and show what it is worth."""
    token = _subject(req, allow_expired=query.get('allow_expired', False))
    return answer(req, token, 200, with_catalog=not query.get('nocatalog'))


@app.head('/auth/tokens', allow=CHECK, late=True, query=SHOW)
def check(req: Request, query: dict[str, bool]) -> Response:
    """Validate a token, no more."""
    token = _subject(req, allow_expired=query.get('allow_expired', False))
    return Response(200, headers={'X-Subject-Token': token.id, 'Vary': 'X-Auth-Token'})


@app.delete('/auth/tokens', allow=REVOKE, late=True, status=204)
def revoke(req: Request) -> None:
    """Take a token back."""
    tokens.revoke(req.wiring, _subject(req))
