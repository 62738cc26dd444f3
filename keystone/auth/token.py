"""Method ``token``: a token stands for what proved it, and never for longer."""

from keystone.auth import Given, Proof
from keystone.token import tokens
from keystone.token.payload import UNSCOPED
from keystone.wiring import Wiring
from strata import errors
from strata.context import Context


def authenticate(wiring: Wiring, given: Given, context: Context | None) -> Proof:
    """The user of a good token; one from an application credential keeps its project."""
    try:
        token = tokens.validate(wiring, given['id'])
    except errors.NotFound as error:
        raise errors.Unauthorized() from error
    payload = token.payload
    if payload.kind != UNSCOPED and not wiring.conf.token.allow_rescope_scoped_token:
        raise errors.Forbidden('Rescoping a scoped token is not allowed.')
    bound = None
    if payload.application_credential_id or 'ec2credential' in payload.methods:
        bound = (payload.kind, payload.scope_id)
    return Proof(payload.user_id, methods=payload.methods, parent=payload, bound=bound,
                 application_credential_id=payload.application_credential_id)
