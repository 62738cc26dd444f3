"""The WSGI pipeline: from the operator's api-paste.ini, or the standard one where there is none.

::

    healthcheck -> request id -> sizes -> /    version document
                                          /v3  identify -> the API
"""

import os
from typing import Any

from keystone import middleware
from keystone.api import app
from keystone.api.versions import root
from keystone.wiring import Wiring, beside
from strata.rest import fault
from strata.rest.mount import Mount
from strata.wsgi import middleware as filters
from strata.wsgi import pipeline


def versions(global_conf: dict[str, str], **options: str) -> Any:
    """paste: the version document at /."""
    return root.bind(pipeline.current())


def v3(global_conf: dict[str, str], **options: str) -> Any:
    """paste: the Identity API, to be mounted at /v3 behind ``identify``."""
    return app.bind(pipeline.current())


def standard(wiring: Wiring) -> Any:
    """What etc/keystone/api-paste.ini says, for tests and deployments without files."""
    inner = Mount({'/': root.bind(wiring), '/v3': middleware.Identify(app.bind(wiring), wiring)})
    return filters.HealthCheck(filters.RequestId(filters.SizeLimit(inner, 114688, fault.identity)))


def load(wiring: Wiring) -> Any:
    """The pipeline that the configuration names."""
    path = beside(wiring.conf, wiring.conf.api.paste_config)
    if wiring.conf.config_file and os.path.exists(path):
        return pipeline.load(path, 'keystone', wiring)
    return standard(wiring)
