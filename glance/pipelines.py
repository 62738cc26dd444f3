"""The WSGI pipelines: from the operator's paste file, or the standard ones where there is none.

::

    glance-api:       healthcheck -> request id -> /    version documents
                                                   /v2  authtoken -> front -> the Image API
    glance-registry:  healthcheck -> request id -> sizes -> authtoken -> the registry
"""

import os
from typing import Any

from glance.api import front, versions
from glance.registry import app as registry
from glance.wiring import Wiring
from strata.rest import fault
from strata.rest.mount import Mount
from strata.wsgi import authtoken, pipeline
from strata.wsgi import middleware as filters


def beside(conf: Any, name: str) -> str | None:
    """The path of a file named in the configuration: absolute, or beside the first configuration file."""
    if os.path.isabs(name):
        return name
    files = conf.config_file or ()
    return os.path.join(os.path.dirname(os.path.abspath(files[0])), name) if files else None


def _load(wiring: Wiring, name: str) -> Any:
    path = beside(wiring.conf, wiring.conf.paste_deploy.config_file)
    return pipeline.load(path, name, wiring) if path and os.path.exists(path) else None


def _authenticated(wiring: Wiring, app: Any) -> Any:
    group = wiring.conf.keystone_authtoken
    return authtoken.AuthToken(app, wiring.identity, cache_time=group.token_cache_time,
                               auth_uri=group.www_authenticate_uri, form=fault.page, clock=wiring.clock)


def api(wiring: Wiring) -> Any:
    """glance-api."""
    loaded = _load(wiring, 'glance-api')
    if loaded is not None:
        return loaded
    inner = Mount({'/': versions.app.bind(wiring), '/v2': _authenticated(wiring, front.bound(wiring))})
    return filters.HealthCheck(filters.RequestId(inner))


def registry_api(wiring: Wiring) -> Any:
    """glance-registry."""
    loaded = _load(wiring, 'glance-registry')
    if loaded is not None:
        return loaded
    inner = filters.SizeLimit(_authenticated(wiring, registry.app.bind(wiring)), front.DOCUMENT)
    return filters.HealthCheck(filters.RequestId(inner))


