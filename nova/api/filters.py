"""What a compute pipeline adds to the common filters.

The functions in lower case are paste filter factories.
"""

from collections.abc import Iterable
from typing import Any

from strata.policy import Policy
from strata.wsgi import pipeline
from strata.wsgi.middleware import App, Environ, Filter


class Sight:
    """Decides, once a request, whether the caller sees every project (rule ``context_is_admin``)."""

    def __init__(self, app: App, policy: Policy) -> None:
        self._app, self._policy = app, policy

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        context = environ.get('strata.context')
        if context is not None and context.user_id:
            context.is_admin = self._policy.allows('context_is_admin', context)
        return self._app(environ, start_response)


class Unversioned:
    """Forgets microversions: under /v2 every client gets the oldest."""

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        environ.pop('HTTP_OPENSTACK_API_VERSION', None)
        environ.pop('HTTP_X_OPENSTACK_NOVA_API_VERSION', None)
        return self._app(environ, start_response)


def sight(global_conf: dict[str, str], **options: str) -> Filter:
    """paste: behind authtoken."""
    policy = pipeline.current().policy
    return lambda app: Sight(app, policy)


def unversioned(global_conf: dict[str, str], **options: str) -> Filter:
    """paste: before an API mounted at /v2."""
    return Unversioned
