"""Method ``ec2credential``: a request signed with an EC2 key, as a service passes it on.

It is no method of POST /auth/tokens but of POST /ec2tokens, which only
services may call.
"""

from typing import Any

from keystone.credential import signature, stored
from keystone.db import credentials
from keystone.token import subject, tokens
from keystone.token.payload import PROJECT
from keystone.wiring import Wiring
from strata import errors


def authenticate(wiring: Wiring, given: dict[str, Any]) -> tokens.Token:
    """The token of the key's owner for the key's project; ``errors.Unauthorized`` for anything wrong."""
    with wiring.db.reading() as tx:
        row = credentials.opened_by(tx, str(given['access']))
    if row is None or row.type != stored.EC2 or row.project_id is None:
        raise errors.Unauthorized()
    keys = stored.keys(wiring, row)
    signature.check_time(given, wiring.clock.now(), wiring.conf.credential.auth_ttl)
    if not signature.is_good(keys['secret'], given):
        raise errors.Unauthorized()
    try:
        return tokens.issue(wiring, user_id=row.user_id, methods=('ec2credential',), kind=PROJECT,
                            scope_id=row.project_id, application_credential_id=keys.get('app_cred_id') or '')
    except subject.Worthless as reason:
        raise errors.Unauthorized() from reason
