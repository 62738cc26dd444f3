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
    """Change a credential; neither its owner nor, for EC2, what it is bound to can change."""
    with changes.unique('credential', id), wiring.changing() as tx:
        row = find(tx, id)
        if values.get('user_id', row.user_id) != row.user_id:
            raise errors.Invalid('The owner of a credential cannot be changed.')
        if EC2 in (row.type, values.get('type', row.type)):
            _keep_ec2(wiring, row, values)
        if 'blob' in values:
            values['blob'] = credential.sealed(wiring, values['blob'])
        if values.get('project_id') is not None:
            changes.found(projects.get(tx, values['project_id']), 'project', values['project_id'])
        row.extra = changes.merged(row.extra, extra)
        for key, value in values.items():
            setattr(row, key, value)
    return row


def _keep_ec2(wiring: Wiring, row: Credential, values: dict[str, Any]) -> None:
    if values.get('type', row.type) != row.type:
        raise errors.Invalid('The type of a credential cannot be changed to or from ec2.')
    if values.get('project_id', row.project_id) is None:
        raise errors.Invalid('A credential of type ec2 is for a project.')
    if 'blob' not in values:
        return
    old, new = _parsed(EC2, credential.opened(wiring, row)), _parsed(EC2, values['blob'])
    if old.get('app_cred_id') != new.get('app_cred_id') or old.get('trust_id') != new.get('trust_id'):
        raise errors.Invalid('What a credential is bound to cannot be changed.')
    values['access'] = credentials.digest(new['access'])


@retried
def delete(wiring: Wiring, id: str) -> None:
    """Remove a credential."""
    with wiring.changing() as tx:
        tx.delete(find(tx, id))


def keys(wiring: Wiring, row: Credential) -> dict[str, Any]:
    """What is in the blob of an EC2 credential."""
    return _parsed(EC2, credential.opened(wiring, row))
