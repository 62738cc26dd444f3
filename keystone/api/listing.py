"""What all resources share: links, filters, pages, and rules about loaded objects."""

import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from strata import errors
from strata.rest import Param, Request

#: published ``<column>__<comparator>`` filters
_INEXACT: dict[str, Callable[[Any, str], Any]] = {
    'contains': lambda column, text: column.contains(text, autoescape=True),
    'icontains': lambda column, text: column.icontains(text, autoescape=True),
    'startswith': lambda column, text: column.startswith(text, autoescape=True),
    'istartswith': lambda column, text: column.istartswith(text, autoescape=True),
    'endswith': lambda column, text: column.endswith(text, autoescape=True),
    'iendswith': lambda column, text: column.iendswith(text, autoescape=True),
}


def flag(text: str) -> bool:
    """A boolean filter: present means true, unless it says otherwise."""
    return text.lower() not in ('0', 'false', 'no', 'off', 'f', 'n')


FLAG = Param(flag, kind='boolean')


def self_link(req: Request, path: str) -> dict[str, str]:
    """``{"self": url}`` of a path below /v3."""
    return {'self': req.url(path)}


def filtered(query: Any, req: Request, columns: Mapping[str, Any]) -> Any:
    """Narrow a query by the filters in the request; names that are no column of ours are passed over."""
    for name, values in req.query.items():
        column_name, _, comparator = name.partition('__')
        column = columns.get(column_name)
        if column is None:
            continue
        text = values[-1]
        if comparator:
            if comparator in _INEXACT and isinstance(column.type, sa.String):
                query = query.where(_INEXACT[comparator](column, text))
        elif isinstance(column.type, sa.Boolean):
            query = query.where(column.is_(flag(text)))
        else:
            query = query.where(column == text)
    return query


def page(req: Request, tx: Session, query: Any, model: Any) -> tuple[Sequence[Any], dict[str, Any]]:
    """The rows that a request gets of a query, in the order of ids, and the ``links`` of the list.

    A full page links to the next.  Raises ``errors.Invalid`` for a bad limit.
    """
    conf = req.wiring.conf
    asked = _limit(req)
    size = conf.list_limit if asked is None else min(asked, conf.max_db_limit)
    marker = req.query.get('marker', [None])[-1]
    query = query.order_by(model.id)
    if marker:
        query = query.where(model.id > marker)
    if size is not None:
        query = query.limit(size + 1)
    rows = tx.scalars(query).all()
    more = size is not None and len(rows) > size
    rows = rows[:size] if more else rows
    return rows, links(req, _next(req, rows[-1].id, size) if more else None)


def _limit(req: Request) -> int | None:
    if 'limit' not in req.query:
        return None
    text = req.query['limit'][-1]
    if not text.isdecimal() or not 0 < int(text) < 10 ** 9:
        raise errors.Invalid('Invalid input for query parameters limit. Value: {value}. '
                             'It is not a positive integer.', value=text[:40])
    return int(text)


def _next(req: Request, marker: str, size: int | None) -> str:
    kept = [(name, value) for name, values in req.query.items() if name not in ('marker', 'limit')
            for value in values]
    return f'{req.path_url}?{urllib.parse.urlencode([*kept, ("limit", str(size)), ("marker", marker)])}'


def links(req: Request, following: str | None = None) -> dict[str, Any]:
    """The ``links`` beside a list."""
    query = req.environ.get('QUERY_STRING')
    return {'next': following, 'previous': None, 'self': f'{req.path_url}?{query}' if query else req.path_url}


def target(kind: str, thing: Any, *names: str) -> dict[str, Any]:
    """What a rule may ask about a loaded object: ``target.<kind>.<name>``."""
    return {f'target.{kind}.{name}': getattr(thing, name) for name in names}


def authorized(req: Request, thing: Any, kind: str, id: str, *names: str,
               about: Mapping[str, Any] | None = None) -> Any:
    """The loaded object, if the endpoint's rule allows it to the caller.

    A thing that is not there is 404 to those who may see all things, and 403
    to others, as if it belonged to somebody else.
    """
    known = dict(about or {})
    if thing is not None:
        known.update(target(kind, thing, 'id', *names))
    req.enforce(known)
    if thing is None:
        raise errors.NotFound('Could not find {kind}: {id}.', kind=kind, id=id[:80])
    return thing


def split(body: Mapping[str, Any], known: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a client said, as known members and the rest, which is kept and shown again."""
    own = {name: value for name, value in body.items() if name in known}
    rest = {name: value for name, value in body.items() if name not in known and name not in ('id', 'links')}
    return own, rest


def home(req: Request, body: Mapping[str, Any]) -> str:
    """The domain that something is made in: as said, or that of the caller's token, or the default one."""
    said = body.get('domain_id')
    if said:
        return str(said)
    return req.context.domain_id or req.wiring.conf.identity.default_domain_id      # type: ignore[union-attr]


def confined(req: Request, query: Any, column: Any) -> Any:
    """Narrow a list to the domain of the caller's token, if it is a token for one."""
    domain_id = req.context.domain_id      # type: ignore[union-attr]
    return query if domain_id is None else query.where(column == domain_id)


def asked_domain(req: Request) -> dict[str, Any]:
    """What the rules of lists look at: the domain that the list is of."""
    context = req.context
    asked = req.query.get('domain_id', [None])[-1]
    return {'target.domain_id': asked or (context.domain_id if context else None)}
