"""Tokens for services in keystone's own process, without HTTP: a ``strata.identity.Validator``."""

from typing import Any

from keystone.token import tokens
from keystone.wiring import Wiring
from strata import errors


class Local:
    """What ``strata.wsgi.authtoken`` asks where all services share one process."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def validate(self, token: str, *, allow_expired: bool = False) -> dict[str, Any]:
        """The body of a good token, catalog left out; ``errors.Unauthorized`` for any other."""
        self._wiring.memory.look()
        try:
            good = tokens.validate(self._wiring, token, allow_expired=allow_expired)
        except errors.NotFound as error:
            raise errors.Unauthorized() from error
        if good.subject.application and good.subject.application.access_rules:
            raise errors.Unauthorized()      # whoever asks here does not enforce them
        body: dict[str, Any] = tokens.body(self._wiring, good, with_catalog=False)['token']
        return body
