"""Versions of objects: what a PUT replaces, or a DELETE removes, is kept.

    [filter:versioned_writes]
    use = egg:swift#versioned_writes
    allow_versioned_writes = false
    allow_object_versioning = false

Two ways, chosen by container::

    legacy    X-Versions-Location, X-History-Location: old versions are copied to another container of the user's
    objects   X-Versions-Enabled: every version has an id and lies in a hidden container; the object is a link to one

It stands to the left of symlink, which follows the links, and to the right of
the large objects, whose manifests are versioned like any object.
"""

from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift import constraints
from swift.http import Request, info, serving
from swift.middleware.versioned_writes import accounts, legacy, names
from swift.middleware.versioned_writes.containers import Containers
from swift.middleware.versioned_writes.objects import Objects
from swift.proxy.info import get_container_info

OPTIONS = {
    'allow_versioned_writes': confs.Option(confs.boolean, False, 'whether containers may have the legacy kind'),
    'allow_object_versioning': confs.Option(confs.boolean, False, 'whether containers may have object versioning'),
}


class VersionedWrites:
    """The filter."""

    def __init__(self, app: Any, conf: Any, limits: constraints.Constraints) -> None:
        self.app = app
        self._versions = frozenset(limits.valid_api_versions)
        self._legacy = conf.allow_versioned_writes
        self._objects = conf.allow_object_versioning

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ['REQUEST_METHOD'] == 'OPTIONS':
            return self.app(environ, start_response)
        return self._serve(environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        pieces = request.path.split('/', 4)
        if len(pieces) < 3 or pieces[0] or pieces[1] not in self._versions or not pieces[2] \
                or names.RESERVED in request.path or request.environ.get('HTTP_X_BACKEND_ALLOW_RESERVED_NAMES'):
            return self.app
        if len(pieces) == 3 or not pieces[3]:
            return accounts.respond(self.app, request) if self._objects and request.method == 'GET' else self.app
        if len(pieces) == 4 or not pieces[4]:
            return self._container(request)
        return self._object(request)

    def _container(self, request: Request) -> Any:
        if request.method in ('PUT', 'POST'):
            legacy.translate(request, self._legacy)
        containers = Containers(self.app, request, self._objects)
        response = containers.respond()
        legacy.show(response)
        return response

    def _object(self, request: Request) -> Any:
        versioned = request.query_string and 'version-id' in request.params
        facts = get_container_info(request.environ, self.app, 'VW')
        sysmeta = facts.get('sysmeta') or {}
        if sysmeta.get('versions-container') or versioned:
            return Objects(self.app, request, facts).respond()
        if request.method in ('PUT', 'DELETE'):
            location = sysmeta.get('versions-location') or facts.get('versions')
            if location and self._legacy:
                return legacy.Legacy(self.app, request, facts, names.text(location)).respond()
        return self.app


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], VersionedWrites]:
    """paste."""
    given = {**global_conf, **local_conf}
    conf = confs.options(given, OPTIONS, '[filter:versioned_writes]')
    limits = constraints.load(given.get('swift_dir', '/etc/swift'))
    if conf.allow_versioned_writes:
        info.register('versioned_writes', allowed_flags=['x-versions-location', 'x-history-location'])
    if conf.allow_object_versioning:
        info.register('object_versioning')
    return lambda app: VersionedWrites(app, conf, limits)
