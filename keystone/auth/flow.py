"""From a request for a token to the token: methods, then scope, then issue."""

import logging
from typing import Any

from keystone.auth import Proof, application_credential, password, token
from keystone.db import projects, revisions, users
from keystone.identity import who
from keystone.token import subject, tokens
from keystone.token.payload import DOMAIN, PROJECT, SYSTEM, UNSCOPED
from keystone.wiring import Wiring
from strata import errors
from strata.context import Context

LOG = logging.getLogger(__name__)

METHODS = {'password': password.authenticate, 'token': token.authenticate,
           'application_credential': application_credential.authenticate}
Scope = tuple[str, str]


def authenticate(wiring: Wiring, auth: dict[str, Any], context: Context | None) -> tokens.Token:
    """The token that ``auth``, the published request, has a right to.

    Raises ``errors.Unauthorized``; ``errors.Invalid`` for a request that makes no sense.
    """
    proofs = _prove(wiring, auth['identity'], context)
    asked = _asked(wiring, auth.get('scope'))
    first = next(iter(proofs.values()))
    if any(proof.user_id != first.user_id for proof in proofs.values()):
        raise errors.Unauthorized()
    methods = _methods(proofs)
    _check_factors(wiring, first.user_id, methods)
    kind, scope_id = _scope(wiring, first.user_id, asked, list(proofs.values()))
    parent = next((proof.parent for proof in proofs.values() if proof.parent), None)
    credential = next((proof.application_credential_id for proof in proofs.values()
                       if proof.application_credential_id), '')
    try:
        return tokens.issue(wiring, user_id=first.user_id, methods=methods, kind=kind, scope_id=scope_id,
                            parent=parent, application_credential_id=credential)
    except subject.Worthless as reason:
        LOG.info('No token: %s', reason)
        raise errors.Unauthorized() from reason


def _prove(wiring: Wiring, identity: dict[str, Any], context: Context | None) -> dict[str, Proof]:
    """Each method's proof; a method named twice is tried once."""
    proofs: dict[str, Proof] = {}
    for name in identity['methods']:
        if name in proofs:
            continue
        if name not in METHODS or name not in wiring.conf.auth.methods:
            raise errors.Unauthorized('Attempted to authenticate with an unsupported method.')
        if name not in identity:
            raise errors.Invalid('auth/identity/{name} is missing.', name=name)
        proofs[name] = METHODS[name](wiring, identity[name], context)
    return proofs


def _methods(proofs: dict[str, Proof]) -> tuple[str, ...]:
    """All methods that the proofs rest on, each once."""
    names = [name for method, proof in proofs.items() for name in (method, *proof.methods)]
    return tuple(dict.fromkeys(names))


def _check_factors(wiring: Wiring, user_id: str, methods: tuple[str, ...]) -> None:
    """A user may ask that more than one method be needed for them."""
    with_user = wiring.memory.recall(revisions.STATE, ('user', user_id), lambda tx: users.get(tx, user_id))
    options = with_user.options if with_user else {}
    rules = options.get('multi_factor_auth_rules') or []
    usable = [rule for rule in rules if rule and set(rule) <= set(METHODS)]
    if options.get('multi_factor_auth_enabled', True) and usable \
            and not any(set(rule) <= set(methods) for rule in usable):
        raise errors.Unauthorized()


def _asked(wiring: Wiring, scope: Any) -> Scope | None:
    """The scope a request names, resolved to an id; ``None`` if it names none."""
    if scope is None:
        return None
    if scope == 'unscoped':
        return UNSCOPED, ''
    if len(scope) != 1:
        raise errors.Invalid('A token has one scope: project, domain, system or unscoped.')
    [(kind, value)] = scope.items()
    if kind == 'unscoped':
        return UNSCOPED, ''
    if kind == 'system':
        return SYSTEM, ''
    if kind == 'domain':
        return DOMAIN, _domain_id(wiring, value)
    return PROJECT, _project_id(wiring, value)


def _domain_id(wiring: Wiring, named: dict[str, Any]) -> str:
    if named.get('id'):
        return str(named['id'])
    if not named.get('name'):
        raise errors.Invalid('A domain is named by id or name.')
    domain_id = who.domain_id(wiring, named['name'])
    if domain_id is None:
        raise errors.Unauthorized()
    return domain_id


def _project_id(wiring: Wiring, named: dict[str, Any]) -> str:
    if named.get('id'):
        return str(named['id'])
    name = named.get('name')
    if not name or not named.get('domain'):
        raise errors.Invalid('A project is named by id, or by name and domain.')
    home = _domain_id(wiring, named['domain'])

    def load(tx: Any) -> str | None:
        found = projects.named(tx, name, home)
        return found.id if found else None

    id = wiring.memory.recall(revisions.STATE, ('project', name, home), load)
    if id is None:
        raise errors.Unauthorized()
    return str(id)


def _scope(wiring: Wiring, user_id: str, asked: Scope | None, proofs: list[Proof]) -> Scope:
    """The scope of the token: what was asked, what a proof is bound to, or the user's default project."""
    bound = next((proof.bound for proof in proofs if proof.bound), None)
    if bound is not None:
        if asked is not None and asked != bound:
            raise errors.Unauthorized()
        return bound
    if asked is not None:
        return asked
    user = wiring.memory.recall(revisions.STATE, ('user', user_id), lambda tx: users.get(tx, user_id))
    if user is None or not user.default_project_id:
        return UNSCOPED, ''
    try:
        subject.find(wiring, user_id, PROJECT, user.default_project_id)
    except subject.Worthless:
        return UNSCOPED, ''
    return PROJECT, user.default_project_id
