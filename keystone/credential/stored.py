"""Credentials: secrets that keystone keeps for others, EC2 keys above all."""

from typing import Any

import orjson
from sqlalchemy.orm import Session

from keystone import changes, credential
from keystone.db import credentials, projects, users
from keystone.db.base import new_id
from keystone.db.credentials import Credential
from keystone.wiring import Wiring
from strata import errors
from strata.db import retried

EC2 = 'ec2'


def _parsed(kind: str, blob: str) -> dict[str, Any]:
    """The JSON object in the blob of an EC2 credential; ``errors.Invalid`` if there is none."""
    try:
        parsed = orjson.loads(blob)
    except ValueError as error:
        raise errors.Invalid(f'The blob of a credential of type {EC2} must be JSON.') from error
    if not isinstance(parsed, dict) or not isinstance(parsed.get('access'), str) \
            or not isinstance(parsed.get('secret'), str) or not parsed['access']:
        raise errors.Invalid(f'The blob of a credential of type {EC2} has an access and a secret.')
    return parsed


@retried
def create(wiring: Wiring, *, user_id: str, type: str, blob: str, project_id: str | None = None,
           extra: dict[str, Any] | None = None, application_credential_id: str | None = None) -> Credential:
    """A new credential; ``errors.Conflict`` for an access key that there is."""
    id, access = new_id(), None
    if type == EC2:
        parsed = _parsed(type, blob)
        if project_id is None:
            raise errors.Invalid('A credential of type ec2 is for a project.')
        id = access = credentials.digest(parsed['access'])
        # set here, never by the client: what made it bounds what it opens
        parsed.pop('app_cred_id', None)
        if application_credential_id:
            parsed['app_cred_id'] = application_credential_id
        blob = orjson.dumps(parsed).decode()
    row = Credential(id=id, user_id=user_id, project_id=project_id, type=type, access=access,
                     blob=credential.sealed(wiring, blob), extra=extra or {})
    with changes.unique('credential', id), wiring.changing() as tx:
        changes.found(users.get(tx, user_id), 'user', user_id)
        if project_id is not None:
            changes.found(projects.get(tx, project_id), 'project', project_id)
        most = wiring.conf.credential.user_limit
        if credentials.count(tx, Credential, user_id) >= most:
            raise errors.Forbidden('A user has at most {most} credentials.', most=most)
        tx.add(row)
    return row


def find(tx: Session, id: str) -> Credential:
    """The credential, or ``errors.NotFound``."""
    return changes.found(credentials.get(tx, id), 'credential', id)      # type: ignore[no-any-return]


@retried
def update(wiring: Wiring, id: str, *, extra: dict[str, Any], **values: Any) -> Credential:
    """Change what is in a credential; whose it is, for what, and what an EC2 key is bound to all stay."""
    with changes.unique('credential', id), wiring.changing() as tx:
        row = find(tx, id)
        for name in ('user_id', 'project_id', 'type'):
            if values.get(name, getattr(row, name)) != getattr(row, name):
                raise errors.Invalid('The {name} of a credential cannot be changed.', name=name)
        if 'blob' in values:
            _refill(wiring, row, values['blob'])
        row.extra = changes.merged(row.extra, extra)
    return row


def _refill(wiring: Wiring, row: Credential, blob: str) -> None:
    """Put something else into a credential; an EC2 key keeps its bounds."""
    if row.type == EC2:
        old, new = _parsed(EC2, credential.opened(wiring, row)), _parsed(EC2, blob)
        if any(old.get(name) != new.get(name) for name in ('app_cred_id', 'trust_id', 'access_token_id')):
            raise errors.Invalid('What a credential is bound to cannot be changed.')
        row.access = credentials.digest(new['access'])
    row.blob = credential.sealed(wiring, blob)


@retried
def delete(wiring: Wiring, id: str) -> None:
    """Remove a credential."""
    with wiring.changing() as tx:
        tx.delete(find(tx, id))


def keys(wiring: Wiring, row: Credential) -> dict[str, Any]:
    """What is in the blob of an EC2 credential."""
    return _parsed(EC2, credential.opened(wiring, row))
