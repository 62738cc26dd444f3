"""Who asks: keystone validates the tokens of its own callers itself.

``[filter:identify]  paste.filter_factory = keystone.middleware:identify``
"""

from collections.abc import Callable, Iterable
from typing import Any

from keystone.credential.applications import permits
from keystone.token import tokens
from keystone.wiring import Wiring
from strata import context as contexts
from strata import errors
from strata.rest import fault
from strata.wsgi import pipeline
from strata.wsgi.middleware import refuse

App = Callable[..., Iterable[bytes]]
#: identity headers mean something behind authtoken only; here they are never looked at
_PREFIXES = ('HTTP_X_USER', 'HTTP_X_PROJECT', 'HTTP_X_DOMAIN', 'HTTP_X_ROLES', 'HTTP_X_IDENTITY',
             'HTTP_X_TENANT', 'HTTP_X_SYSTEM', 'HTTP_X_IS_ADMIN')


class Identify:
    """Sets ``strata.context`` and ``keystone.token`` from X-Auth-Token, or leaves the caller nameless.

    A bad token makes the caller nameless as well: routes that need a name
    answer 401, and one may still ask for a new token.
    """

    def __init__(self, app: App, wiring: Wiring) -> None:
        self._app, self._wiring = app, wiring

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        for name in [name for name in environ if name.startswith(_PREFIXES)]:
            del environ[name]
        before = environ.get('strata.context')
        environ['strata.context'] = environ['keystone.token'] = None
        try:
            self._wiring.memory.look()
            self._identify(environ, before)
        except errors.Error as error:
            return refuse(environ, start_response, error, fault.identity)
        return self._app(environ, start_response)

    def _identify(self, environ: dict[str, Any], before: contexts.Context | None) -> None:
        said = environ.get('HTTP_X_AUTH_TOKEN')
        if not said:
            return
        try:
            token = tokens.validate(self._wiring, said)
        except errors.NotFound:
            return
        application = token.subject.application
        path = environ.get('SCRIPT_NAME', '') + environ.get('PATH_INFO', '')
        if application and not permits(application.access_rules, 'identity', environ['REQUEST_METHOD'], path):
            return
        context = token.context(environ.get('strata.request_id'))
        if before is not None:
            context.global_request_id = before.global_request_id
            context.remote_address = before.remote_address
        environ['strata.context'], environ['keystone.token'] = context, token
        contexts.CURRENT.set(context)


def identify(global_conf: dict[str, str], **options: str) -> Callable[[App], App]:
    """paste: the filter, on the wiring of the pipeline."""
    wiring = pipeline.current()
    return lambda app: Identify(app, wiring)
