"""A kind of network resource: from its attributes come its schemas, views, filters, pages and rules.

::

    POST body -> schema -> wishes(): rules, defaults, plain values -> domain function -> shown()
    GET query -> index(): filters, order, page, fields             -> rows            -> shown()
"""

import dataclasses
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.api.network import attributes as kinds
from nova.api.network.attributes import Attribute
from nova.db import tags
from strata import errors
from strata.db import keyset
from strata.policy import Rule
from strata.rest import Document, Request
from strata.rest.versions import Version

#: query parameters that are no filters
_PAGING = ('fields', 'limit', 'marker', 'sort_key', 'sort_dir', 'page_reverse')
_TAG_FILTERS = ('tags', 'tags-any', 'not-tags', 'not-tags-any')
Target = Callable[[dict[str, Any]], Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Given:
    """A valid body: one resource, or many of a kind at once."""

    items: list[dict[str, Any]]
    many: bool


class OneOrMany(Document):
    """``{network: {...}}``, or ``{networks: [{...}, ...]}`` for many at once."""

    def __init__(self, name: str, plural: str, schema: Mapping[str, Any]) -> None:
        self.name, self.plural = name, plural
        one = {'type': 'object', 'properties': {name: schema}, 'required': [name],
               'additionalProperties': False}
        self.many = Document({
            'type': 'object', 'required': [plural], 'additionalProperties': False,
            'properties': {plural: {'type': 'array', 'minItems': 1, 'maxItems': 1000, 'items': schema}}})
        super().__init__(one)

    def parse(self, document: Any, asked: Version) -> Given:
        """The resources in a body; ``errors.Invalid`` names the attribute at fault.

        Each of many may stand in an object of its own, as it would alone.
        """
        if isinstance(document, dict) and self.plural in document:
            items = document[self.plural]
            if isinstance(items, list):
                items = [each[self.name] if isinstance(each, dict) and set(each) == {self.name} else each
                         for each in items]
            return Given(self.many.parse({**document, self.plural: items}, asked)[self.plural], True)
        return Given([super().parse(document, asked)[self.name]], False)


class Single(Document):
    """``{network: {...}}``: the handler is given the inner object."""

    def __init__(self, name: str, schema: Mapping[str, Any]) -> None:
        self.name = name
        super().__init__({'type': 'object', 'properties': {name: schema}, 'required': [name],
                          'additionalProperties': False})

    def parse(self, document: Any, asked: Version) -> dict[str, Any]:
        """The inner object of a valid body."""
        return dict(super().parse(document, asked)[self.name])


class Resource:
    """One kind of resource, described by its attributes."""

    def __init__(self, name: str, plural: str, model: Any, own: Mapping[str, Attribute], *,
                 tagged: bool = True) -> None:
        self.name, self.plural, self.model, self.tagged = name, plural, model, tagged
        self.attributes: dict[str, Attribute] = {**kinds.COMMON, **own}
        if tagged:
            self.attributes['tags'] = kinds.shown('tags')
        self.creation = OneOrMany(name, plural, self._schema('c'))
        self.change = Single(name, self._schema('u'))

    def _schema(self, on: str) -> dict[str, Any]:
        taken = {key: each for key, each in self.attributes.items() if on in each.on}
        required = [key for key, each in taken.items() if each.required and on == 'c']
        return {'type': 'object', 'additionalProperties': False, 'required': required,
                'properties': {key: dict(each.schema) for key, each in taken.items()}}

    def rules(self) -> list[Rule]:
        """The rules for single attributes."""
        return [Rule(f'{verb}_{self.name}:{key}', check)
                for key, each in self.attributes.items() for verb, check in each.guards.items()]

    # -- what a caller wants ------------------------------------------------

    def wishes(self, req: Request, given: Given, target: Target | None = None) -> list[dict[str, Any]]:
        """What a POST asks for, in the domain's names, allowed and complete with defaults."""
        wanted = []
        for item in given.items:
            project = self._project(req, item)
            asked = {**item, 'project_id': project, 'tenant_id': project}
            if project != req.context.project_id and not req.context.is_admin:
                raise errors.Invalid("Specifying 'project_id' or 'tenant_id' other than the authenticated project in "
                                     'request requires admin privileges')
            self.check(req, 'create', asked, item, target)
            values = {each.key or key: each.default for key, each in self.attributes.items()
                      if 'c' in each.on and each.default is not kinds.ABSENT}
            wanted.append({**values, **self._plain(item), 'project_id': project})
        return wanted

    def _project(self, req: Request, item: Mapping[str, Any]) -> str:
        named = {item[key] for key in ('project_id', 'tenant_id') if item.get(key)}
        if len(named) > 1:
            raise errors.Invalid("'project_id' and 'tenant_id' do not match")
        project = named.pop() if named else req.context and req.context.project_id
        if not project:
            raise errors.Invalid('Running without a project: a project_id must be given.')
        return str(project)

    def check(self, req: Request, verb: str, target: Mapping[str, Any], given: Mapping[str, Any],
              more: Target | None = None) -> None:
        """Enforce the endpoint's rule and those of the attributes given."""
        complete = dict(target)
        complete.setdefault('network:project_id', '')
        if more is not None:
            complete.update(more(complete))
        req.enforce(complete)
        for key in given:
            if verb in self.attributes[key].guards:
                req.enforce(complete, Rule(f'{verb}_{self.name}:{key}', ''))

    def _plain(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Values in the domain's names and types."""
        plain = {}
        for key, value in item.items():
            attribute = self.attributes[key]
            if value is None and 'null' not in _types(attribute.schema):
                continue
            plain[attribute.key or key] = attribute.convert(value) if attribute.convert else value
        return plain

    def changes(self, req: Request, body: Mapping[str, Any], row: Any, target: Target | None = None
                ) -> dict[str, Any]:
        """What a PUT asks for, in the domain's names, if the caller may."""
        self.check(req, 'update', {'project_id': row.project_id, 'tenant_id': row.project_id}, body, target)
        return self._plain(body)

    @staticmethod
    def revision(req: Request) -> int | None:
        """The revision an ``If-Match: revision_number=N`` insists on."""
        header = req.header('If-Match')
        match = re.fullmatch(r'revision_number=([0-9]{1,9})', (header or '').strip().strip('"'))
        if header and not match:
            raise errors.Invalid('Invalid revision_number in If-Match header')
        return int(match[1]) if match else None

    # -- what a caller is shown ---------------------------------------------

    def hidden(self, req: Request) -> set[str]:
        """The attributes that the caller may not see."""
        return {key for key, each in self.attributes.items() if not each.shown or (
            'get' in each.guards and not req.allows(Rule(f'get_{self.name}:{key}', '')))}

    def view(self, req: Request, row: Any, but: set[str] | None = None,
             fields: Sequence[str] = ()) -> dict[str, Any]:
        """A row as its body, or as much of it as ``fields`` asks for."""
        but = self.hidden(req) if but is None else but
        body = {}
        for key, each in self.attributes.items():
            if key in but or (fields and key not in fields):
                continue
            source = each.source or each.key or key
            body[key] = source(row) if callable(source) else getattr(row, source)
        return body

    def shown(self, req: Request, row: Any) -> dict[str, Any]:
        """``{network: {...}}``, cut down to the ``fields`` of the query."""
        return {self.name: self.view(req, row, fields=req.query.get('fields', ()))}

    def answer(self, req: Request, given: Given, rows: Sequence[Any]) -> dict[str, Any]:
        """What a POST is answered with: one or many, as it asked."""
        but = self.hidden(req)
        bodies = [self.view(req, row, but) for row in rows]
        return {self.plural: bodies} if given.many else {self.name: bodies[0]}

    # -- lists --------------------------------------------------------------

    def index(self, req: Request, tx: Session, query: Any, options: Sequence[Any] = ()) -> dict[str, Any]:
        """A page of the rows in ``query``, as the request's filters, order and fields have it."""
        but = self.hidden(req)
        after = self._after(req, tx, query)
        query = query.where(*self._conditions(req, but)).options(*options)
        rows, links = self._page(req, tx, query, but, after)
        fields = req.query.get('fields', ())
        body: dict[str, Any] = {self.plural: [self.view(req, row, but, fields) for row in rows]}
        if links:
            body[f'{self.plural}_links'] = links
        return body

    def _conditions(self, req: Request, but: set[str]) -> list[Any]:
        conditions, unknown = [], []
        for name, words in req.query.items():
            if name in _PAGING:
                continue
            if name in _TAG_FILTERS and self.tagged:
                split = [tag for word in words for tag in word.split(',')]
                conditions.append(tags.condition(self.model, name, split))
            elif name not in self.attributes or (condition := self._condition(name, words)) is None:
                unknown.append(name)
            else:
                secret = name in but and self.attributes[name].shown
                conditions.append(sa.false() if secret else condition)
        if unknown:
            raise errors.Invalid('[{names}] is invalid attribute for filtering',
                                 names=', '.join(repr(name[:40]) for name in sorted(unknown)))
        return conditions

    def _condition(self, name: str, words: list[str]) -> Any:
        attribute = self.attributes[name]
        if attribute.condition is not None:
            return attribute.condition(words)
        column = self._column(name)
        if column is None:
            return None
        kind = column.type
        if isinstance(kind, sa.Boolean):
            return column.in_(kinds.boolean(words))
        if isinstance(kind, sa.Integer):
            return column.in_(kinds.integers(words))
        if not isinstance(kind, sa.String):
            return None
        condition = column.in_(words)
        return condition | column.is_(None) if column.nullable and '' in words else condition

    def _column(self, name: str) -> Any:
        """The model's column behind an attribute, if there is one."""
        found = self.attributes.get(name)
        key = (found.key or name) if found else None
        return getattr(self.model, key) if key and key in sa.inspect(self.model).columns else None

    def _after(self, req: Request, tx: Session, visible: Any) -> Any:
        """The row that the marker names, among those the caller may see."""
        marker = req.query.get('marker', [None])[-1]
        if not marker:
            return None
        row = tx.scalar(visible.where(self.model.id == marker))
        if row is None:
            raise errors.NotFound('{kind} {id} could not be found.', kind=self.name.capitalize(),
                                  id=marker[:80])
        return row

    def _page(self, req: Request, tx: Session, query: Any, but: set[str], after: Any
              ) -> tuple[list[Any], list[dict[str, str]]]:
        limit, backwards = _limit(req), _is_true(req, 'page_reverse')
        sorts = [(column, _turned(way) if backwards else way) for column, way in self._sorts(req, but)]
        rows = list(tx.scalars(keyset(query, sorts, after=after, limit=limit)).unique())
        if backwards:
            rows.reverse()
        return rows, _links(req, rows, limit, backwards)

    def _sorts(self, req: Request, but: set[str]) -> list[tuple[Any, str]]:
        keys, ways = req.query.get('sort_key', []), req.query.get('sort_dir', [])
        if ways and len(keys) != len(ways):
            raise errors.Invalid('The number of sort_keys and sort_dirs must be same')
        sorts = []
        for position, key in enumerate(keys):
            column, way = self._column(key), (ways[position] if ways else 'asc').lower()
            if column is None or key in but or not isinstance(
                    column.type, (sa.String, sa.Integer, sa.Boolean)):
                raise errors.Invalid("'{key}' is an invalid attribute for sort key", key=key[:40])
            if way not in ('asc', 'desc'):
                raise errors.Invalid("'{way}' is an invalid value for sort_direction", way=way[:40])
            sorts.append((column, way))
        return [*sorts, (self.model.id, 'asc')] if 'id' not in keys else sorts


def _types(schema: Mapping[str, Any]) -> list[str]:
    """The JSON types a schema admits."""
    if 'anyOf' in schema:
        return [kind for each in schema['anyOf'] for kind in _types(each)]
    named = schema.get('type', [])
    return [named] if isinstance(named, str) else list(named)


def _turned(way: str) -> str:
    return 'desc' if way == 'asc' else 'asc'


def _limit(req: Request) -> int | None:
    asked = req.query.get('limit', [''])[-1]
    if not asked:
        return None
    if not re.fullmatch(r'[0-9]{1,9}', asked, re.ASCII):
        raise errors.Invalid("Limit must be an integer 0 or greater and not '{asked}'", asked=asked[:40])
    return int(asked) or None


def _is_true(req: Request, name: str) -> bool:
    words = req.query.get(name)
    return bool(words) and kinds.boolean(words[-1:])[0]


def _links(req: Request, rows: Sequence[Any], limit: int | None, backwards: bool) -> list[dict[str, str]]:
    """The pages after and before this one, as far as there may be any."""
    if limit is None:
        return []
    if not rows:      # beyond the end, and before it is the last page
        past = 'marker' in req.query and not backwards
        return [{'rel': 'previous', 'href': _href(req, None, True)}] if past else []
    full, links = len(rows) == limit, []
    if full or backwards:
        links.append({'rel': 'next', 'href': _href(req, rows[-1].id, False)})
    if full if backwards else 'marker' in req.query:
        links.append({'rel': 'previous', 'href': _href(req, rows[0].id, True)})
    return links


def _href(req: Request, marker: str | None, backwards: bool) -> str:
    query = [(name, value) for name, values in req.query.items()
             if name not in ('marker', 'page_reverse') for value in values]
    if marker is not None:
        query.append(('marker', marker))
    if backwards:
        query.append(('page_reverse', 'True'))
    return f'{req.path_url}?{urllib.parse.urlencode(query)}'
