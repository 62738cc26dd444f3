"""A table of endpoints, and the WSGI application that serves it.

An endpoint is a plain function under one ``@app.<method>`` decorator that
names its route, versions, policy rule, schemas and status.  Handlers return a
dict or list (JSON), ``None`` (no body) or a ``Response``.

::

    GET /servers/{id} -> version -> find -> rule -> schema -> handler -> view -> JSON
                            406    404 405   403     400       errors.Error -> fault
"""

import dataclasses
import functools
import logging
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import routes

from strata import errors
from strata.policy import Rule
from strata.rest import fault as faults
from strata.rest.request import Request, Response
from strata.rest.schema import Document, Query
from strata.rest.versions import NEWEST, OLDEST, Range, Version, prune, version

LOG = logging.getLogger(__name__)
Handler = Callable[..., Any]
StartResponse = Callable[..., Any]


class _Public:
    """The ``allow`` of a route that needs no identity (version documents, a token request)."""

    name = 'public'


PUBLIC = _Public()


@dataclasses.dataclass(frozen=True, eq=False)
class Endpoint:
    """One declared route: what it takes, who may, which handler.

    ``late``: the rule depends on the object, so the handler loads it and calls
    ``req.enforce(target)``; one that does not is a bug and answers 500.
    """

    method: str
    path: str
    handler: Handler
    allow: Any
    statuses: tuple[Any, ...]
    action: str | None = None
    body: Document | None = None
    query: Query | None = None
    late: bool = False
    first: Version = OLDEST
    last: Version = NEWEST

    def covers(self, asked: Version) -> bool:
        """Whether the endpoint exists in a version."""
        return self.first <= asked <= self.last

    @functools.cached_property
    def status_at(self) -> Callable[[Version], int]:
        """The status of success in a version."""
        return functools.cache(lambda asked: next(iter(prune(list(self.statuses), asked))))

    def serve(self, req: Request, params: dict[str, str]) -> Any:
        """Check identity, rule and schemas, then run the handler."""
        if self.allow is not PUBLIC:
            if req.context is None or not (req.context.user_id or req.context.is_admin):
                raise errors.Unauthorized()
            if not self.late:
                req.wiring.policy.check(self.allow.name, req.context)
        arguments: dict[str, Any] = params
        if self.query is not None:
            arguments['query'] = self.query.parse(req.query, req.version)
        if self.body is not None:
            arguments['body'] = self.body.parse(req.json, req.version)
        result = self.handler(req, **arguments)
        if self.late and not req.enforced:
            raise AssertionError(f'{self.method} {self.path} never checked {self.allow.name}')
        return result


class Application:
    """The API of one service; ``bind(wiring)`` makes the WSGI application of a process.

    ``versions`` is absent for APIs without microversions.  ``fault`` renders an
    error as the service's clients expect it.  ``project_in_url`` accepts (and
    ignores after checking) a leading ``/{project_id}``, as compute and volume
    URLs have.
    """

    def __init__(self, name: str, *, versions: Range | None = None,
                 fault: Callable[[Request, errors.Error], Response] = faults.plain,
                 project_in_url: bool = False) -> None:
        self.name, self.versions, self.fault = name, versions, fault
        self.project_in_url = project_in_url
        self.mapper = routes.Mapper(register=False)
        self.mapper.minimization = False
        self.endpoints: dict[str, list[Endpoint]] = {}
        self._heads: set[str] = set()

    def route(self, method: str, path: str, *, allow: Rule | _Public, status: Any = 200,
              action: str | None = None, body: Document | None = None, query: Query | None = None,
              late: bool = False, first: str | None = None, last: str | None = None,
              ) -> Callable[[Handler], Handler]:
        """Declare the decorated function as an endpoint."""
        def declare(handler: Handler) -> Handler:
            if path not in self.endpoints:
                self.mapper.connect(None, path, path=path)
                self._heads.add(path.split('/')[1] if '/' in path else path)
            self.endpoints.setdefault(path, []).append(Endpoint(
                method, path, handler, allow, tuple(status) if isinstance(status, (list, tuple)) else (status,),
                action, body, query, late, version(first) if first else OLDEST,
                version(last) if last else NEWEST))
            return handler
        return declare

    get = functools.partialmethod(route, 'GET')
    head = functools.partialmethod(route, 'HEAD')
    post = functools.partialmethod(route, 'POST')
    put = functools.partialmethod(route, 'PUT')
    patch = functools.partialmethod(route, 'PATCH')
    delete = functools.partialmethod(route, 'DELETE')

    def action(self, path: str, name: str, **declaration: Any) -> Callable[[Handler], Handler]:
        """An endpoint chosen by the only key of its body, as servers have: POST ``<path>/action``."""
        return self.route('POST', f'{path}/action', action=name, **{'status': 202, **declaration})

    def rules(self) -> Iterable[Rule]:
        """Every rule the routes name, for the policy."""
        return {endpoint.allow.name: endpoint.allow for many in self.endpoints.values()
                for endpoint in many if isinstance(endpoint.allow, Rule)}.values()

    def bind(self, wiring: Any) -> 'Bound':
        """The WSGI application over one process's wiring (its ``policy`` at the least)."""
        return Bound(self, wiring)

    def find(self, req: Request) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint for a request and the parameters in its path; 404 or 405 otherwise."""
        path = req.path.rstrip('/') or '/'
        if self.project_in_url:
            path = self._without_project(req, path)
        match = self.mapper.match(path)
        if not match:
            raise errors.NotFound('The resource could not be found.')
        params = {key: value for key, value in match.items() if key not in ('path', 'controller', 'action')}
        here = self.endpoints[match['path']]
        live = [endpoint for endpoint in here if endpoint.covers(req.version)]
        mine = [endpoint for endpoint in live if endpoint.method == req.method]
        if not mine and req.method == 'HEAD':
            mine = [endpoint for endpoint in live if endpoint.method == 'GET']
        if not mine:
            if not live or req.path.endswith('/'):      # DELETE /things/: there is no thing without an id
                raise errors.NotFound('The resource could not be found.')
            allow = ', '.join(sorted({endpoint.method for endpoint in live}))
            raise errors.NotAllowed(allow=allow, headers={'Allow': allow})
        return self._by_action(req, mine), params

    def _by_action(self, req: Request, mine: list[Endpoint]) -> Endpoint:
        if mine[0].action is None:
            return mine[0]
        document = req.json
        if not isinstance(document, dict) or len(document) != 1:
            raise errors.Invalid('The body must be an object with the action as its only member.')
        [name] = document
        for endpoint in mine:
            if endpoint.action == name:
                return endpoint
        raise errors.Invalid(f'There is no such action: {name[:80]}')

    def _without_project(self, req: Request, path: str) -> str:
        head, _, tail = path[1:].partition('/')
        if not tail or head in self._heads or tail.partition('/')[0] not in self._heads:
            return path
        if req.context is not None and head != req.context.project_id:
            raise errors.Invalid("Malformed request URL: URL's project_id '{head}' doesn't match Context's "
                                 "project_id '{mine}'", head=head[:80], mine=req.context.project_id)
        req.environ['strata.project_prefix'] = '/' + head
        return '/' + tail


class Bound:
    """An ``Application`` at work: the WSGI callable of one process."""

    def __init__(self, app: Application, wiring: Any) -> None:
        self.app, self.wiring = app, wiring

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Any:
        req = Request(environ, self.wiring)
        status, headers, body = self.respond(req)
        start_response(status, headers)
        return body

    def respond(self, req: Request) -> tuple[str, list[tuple[str, str]], Any]:
        """Status line, headers and body for a request; no exception leaves."""
        versions = self.app.versions
        try:
            if versions is not None:
                req.version = versions.minimum
                req.version = versions.negotiate(
                    req.header('OpenStack-API-Version'), versions.legacy and req.header(versions.legacy))
            req.endpoint, params = self.app.find(req)
            result = req.endpoint.serve(req, params)
            return self._answer(req, result, req.endpoint.status_at(req.version))
        except errors.Error as error:
            if error.status >= 500 and not isinstance(error, (errors.Unavailable, errors.Unsupported)):
                LOG.error('%s %s: %s', req.method, req.environ.get('PATH_INFO'), error, exc_info=error)
            return self._failed(req, error if error.told else _unexpected(error))
        except (ConnectionError, errors.Fenced):
            raise      # the client is gone: the server closes the connection
        except Exception as error:
            LOG.exception('%s %s', req.method, req.environ.get('PATH_INFO'))
            return self._failed(req, _unexpected(error))

    def _answer(self, req: Request, result: Any, status: int) -> tuple[str, list[tuple[str, str]], Any]:
        headers = self._headers(req)
        if isinstance(result, Response):
            return result.start(status, headers)
        if result is None:
            return Response(status).start(status, headers)
        if isinstance(result, (dict, list)):
            raw = orjson.dumps(result, default=str)
            return (Response(status).start(status, [])[0],
                    [('Content-Type', 'application/json'), ('Content-Length', str(len(raw))), *headers], [raw])
        raise TypeError(f'{req.endpoint.path}: a handler returned {type(result).__name__}')

    def _failed(self, req: Request, error: errors.Error) -> tuple[str, list[tuple[str, str]], Any]:
        response = self.app.fault(req, error)
        response.headers.update(error.headers)
        return response.start(error.status, self._headers(req))

    def _headers(self, req: Request) -> list[tuple[str, str]]:
        said = self.app.versions.headers(req.version) if self.app.versions else []
        return [*said, *req.response_headers]


def _unexpected(error: Exception) -> errors.Error:
    """What a client is told of a failure whose words are not for it."""
    failure = errors.Error('Unexpected API Error. The failure has been logged under the request id of this response.')
    failure.__cause__ = error
    return failure
