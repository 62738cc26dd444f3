"""The service catalog: which endpoints somebody in a project is shown."""

import dataclasses
import re
from typing import Any

from sqlalchemy.orm import Session

from keystone.db import catalog, revisions
from keystone.memory import Memory
from strata import errors

#: what a URL may ask for; nothing else is ever put in, least of all configuration
KNOWN = frozenset({'project_id', 'tenant_id', 'user_id'})
_SLOT = re.compile(r'[%$]\(([^)]*)\)s')


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A service as the catalog shows it; ``endpoints`` are dicts whose ``url`` still has its slots."""

    id: str
    type: str
    name: str
    endpoints: tuple[dict[str, Any], ...]


def slots(url: str) -> set[str]:
    """The names in a URL's ``%(name)s`` and ``$(name)s``."""
    return set(_SLOT.findall(url))


def check_url(url: str) -> None:
    """Raise ``errors.Invalid`` for a URL that asks for what the catalog does not put in."""
    strange = slots(url) - KNOWN
    rest = _SLOT.sub('', url)
    if strange or '%(' in rest or '$(' in rest:
        raise errors.Invalid('The endpoint URL {url} is malformed: it may only ask for {known}.',
                             url=url[:255], known=', '.join(sorted(KNOWN)))


def _load(tx: Session) -> tuple[Entry, ...]:
    services: dict[str, tuple[catalog.Service, list[dict[str, Any]]]] = {}
    for service, endpoint in catalog.live(tx):
        _, endpoints = services.setdefault(service.id, (service, []))
        if endpoint is not None:
            endpoints.append({'id': endpoint.id, 'interface': endpoint.interface, 'url': endpoint.url,
                              'region': endpoint.region_id, 'region_id': endpoint.region_id})
    return tuple(Entry(service.id, service.type, service.name or '', tuple(endpoints))
                 for service, endpoints in services.values())


def shown(memory: Memory, *, user_id: str, project_id: str | None) -> list[dict[str, Any]]:
    """The catalog for somebody; outside a project, endpoints that need one are left out."""
    values = {'user_id': user_id, 'project_id': project_id, 'tenant_id': project_id}
    body = []
    for entry in memory.recall(revisions.CATALOG, 'entries', _load):
        endpoints = [{**endpoint, 'url': url} for endpoint in entry.endpoints
                     if (url := _filled(endpoint['url'], values)) is not None]
        body.append({'endpoints': endpoints, 'type': entry.type, 'id': entry.id, 'name': entry.name})
    return body


def _filled(url: str, values: dict[str, str | None]) -> str | None:
    if '(' not in url:
        return url
    if any(values.get(name) is None for name in slots(url)):
        return None
    return _SLOT.sub(lambda match: values[match[1]] or '', url)
