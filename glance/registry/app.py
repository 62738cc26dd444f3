"""glance-registry's HTTP face: the methods of ``Registry``, for glance-api alone."""

import dataclasses
import inspect
from typing import Any

from glance.registry.calls import ACTING, CALLS, Call, kind_of, unpacked
from glance.registry.interface import Search
from strata import errors
from strata.rest import Application, Request, Response, Rule
from strata.wsgi import pipeline


def fault(req: Request, error: errors.Error) -> Response:
    """An error with its kind, so that the other side raises the same."""
    return Response(error.status, {'error': {'kind': kind_of(error), 'message': str(error)}})


class _Gone(errors.Gone):
    """``errors.Fenced`` in a form that is answered rather than closing the connection."""


ACCESS = Rule('registry', 'role:service or role:admin', "Work with images' metadata on behalf of others.")

app = Application('image-registry', fault=fault)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value      # type: ignore[arg-type]


def _arguments(req: Request, name: str, params: dict[str, str]) -> dict[str, Any]:
    given = req.json if req.body else {}
    if not isinstance(given, dict):
        raise errors.Invalid('The body must be an object.')
    if name == 'search':
        given = {'search': Search(**given.get('search', {}))}
    return {**given, **params}


def _serve(name: str, call: Call) -> None:
    @app.route(call.verb, call.path, allow=ACCESS)
    def method(req: Request, **params: str) -> dict[str, Any]:
        acting = unpacked(req.header(ACTING))
        bound = getattr(req.wiring.registry, name)
        try:
            arguments = inspect.signature(bound).bind(acting, **_arguments(req, name, params))
        except TypeError as error:
            raise errors.Invalid('The arguments are not those of {name}.', name=name) from error
        try:
            return {'result': _plain(bound(*arguments.args, **arguments.kwargs))}
        except errors.Fenced as error:
            raise _Gone(str(error)) from error
    method.__doc__ = f'``Registry.{name}``.'


for _name, _call in CALLS.items():
    _serve(_name, _call)


def v1(global_conf: dict[str, str], **options: str) -> Any:
    """paste: the registry."""
    return app.bind(pipeline.current())
