"""The OpenAPI 3.1 document of an application, drawn from its declarations."""

import re
from typing import Any

from strata.policy import Rule
from strata.rest.app import PUBLIC, Application, Endpoint
from strata.rest.request import Request
from strata.rest.versions import NEWEST, OLDEST, Version, dotted


def serve(root: Application, described: Application, mount: str) -> None:
    """Give ``/openapi.json`` to the application at an API's root: the description of the one mounted at ``mount``."""
    @root.get('/openapi.json', allow=PUBLIC)
    def openapi(req: Request) -> dict[str, Any]:
        """The API as an OpenAPI document."""
        return document(described, req.application_url + mount)


def document(app: Application, url: str) -> dict[str, Any]:
    """The description as a dict; bodies and parameters are those of the newest version."""
    newest = app.versions.maximum if app.versions else NEWEST
    paths: dict[str, Any] = {}
    for path, endpoints in sorted(app.endpoints.items()):
        for endpoint in endpoints:
            key = re.sub(r'\{(\w+):[^}]*\}', r'{\1}', path)
            _merge(paths.setdefault(key, {}), endpoint, newest)
    return {'openapi': '3.1.0',
            'info': {'title': app.name, 'version': dotted(newest) if app.versions else '1'},
            'servers': [{'url': url or '/'}], 'paths': paths,
            'components': {'securitySchemes': {'token': {
                'type': 'apiKey', 'in': 'header', 'name': 'X-Auth-Token'}}}}


def _merge(item: dict[str, Any], endpoint: Endpoint, newest: Version) -> None:
    """Add an endpoint to its path; actions and version variants share one operation."""
    asked = min(endpoint.last, newest)
    method = endpoint.method.lower()
    operation = item.setdefault(method, _operation(endpoint, asked))
    if endpoint.body is None:
        return
    schema = endpoint.body.at(asked)
    content = operation.setdefault('requestBody', {'content': {'application/json': {'schema': {'anyOf': []}}}})
    content['content']['application/json']['schema']['anyOf'].append(schema)


def _operation(endpoint: Endpoint, asked: Version) -> dict[str, Any]:
    names = re.findall(r'\{(\w+)[^}]*\}', endpoint.path)
    parameters: list[dict[str, Any]] = [
        {'name': name, 'in': 'path', 'required': True, 'schema': {'type': 'string'}} for name in names]
    if endpoint.query is not None:
        known, _ = endpoint.query.at(asked)
        parameters += [{'name': name, 'in': 'query', 'schema': {'type': 'string', 'description': param.kind}}
                       for name, param in known.items()]
    about = (endpoint.handler.__doc__ or '').strip()
    return {
        'summary': about.partition('\n')[0], 'parameters': parameters,
        'security': [] if endpoint.allow is PUBLIC else [{'token': []}],
        'x-policy': endpoint.allow.name if isinstance(endpoint.allow, Rule) else 'public',
        'x-min-version': None if endpoint.first == OLDEST else dotted(endpoint.first),
        'x-max-version': None if endpoint.last == NEWEST else dotted(endpoint.last),
        'responses': {str(endpoint.status_at(asked)): {'description': 'Success'}}}
