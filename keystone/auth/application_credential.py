"""Method ``application_credential``: an id (or a name and its owner) and a secret; opens one project."""

from keystone.auth import Given, Proof
from keystone.db import credentials, revisions, users
from keystone.db.credentials import ApplicationCredential
from keystone.identity import passwords, who
from keystone.token.payload import PROJECT
from keystone.wiring import Wiring
from strata import errors
from strata.context import Context


def authenticate(wiring: Wiring, given: Given, context: Context | None) -> Proof:
    """The owner of the credential, bound to its project."""
    found = _find(wiring, given)
    right = passwords.matches_hash(wiring, found and found.id, found and found.secret, given['secret'])
    if found is None or not right:
        raise errors.Unauthorized()
    return Proof(found.user_id, bound=(PROJECT, found.project_id), application_credential_id=found.id)


def _find(wiring: Wiring, given: Given) -> ApplicationCredential | None:
    memory = wiring.memory
    if given.get('id'):
        id = given['id']
        return memory.recall(revisions.STATE, ('application', id), lambda tx: credentials.application(tx, id))
    owner: users.User | None = who.find(wiring, given.get('user') or {})
    if owner is None or not given.get('name'):
        return None
    with wiring.db.reading() as tx:
        return credentials.application_named(tx, owner.id, given['name'])
