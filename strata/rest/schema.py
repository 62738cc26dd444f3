"""What a request may say: JSON Schema for bodies, typed parameters for query strings.

A refusal names the field and never repeats a secret.
"""

import base64
import binascii
import dataclasses
import functools
import ipaddress
import re
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jsonschema
import orjson

from strata import clock, errors
from strata.rest.versions import Version, prune

FORMATS = jsonschema.FormatChecker(formats=())
_SECRET = re.compile(r'pass|secret|user_data|token|private|blob|credential', re.IGNORECASE)

NAME = {'type': 'string', 'minLength': 1, 'maxLength': 255, 'format': 'printable'}
UUID = {'type': 'string', 'format': 'uuid'}
BOOLEAN = {'type': ['boolean', 'string'],
           'enum': [True, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES', 'Yes', 'yes',
                    False, 'False', 'FALSE', 'false', '0', 'OFF', 'Off', 'off', 'NO', 'No', 'no']}


def _format(name: str) -> Callable[[Callable[[str], object]], Callable[[str], object]]:
    """Register ``check`` for the strings of a format; what it raises is a refusal."""
    def register(check: Callable[[str], object]) -> Callable[[str], object]:
        def judge(value: object) -> bool:
            return not isinstance(value, str) or check(value) is not False
        FORMATS.checks(name, raises=(ValueError, TypeError))(judge)
        return check
    return register


@_format('uuid')
def is_uuid(text: str) -> bool:
    """A UUID, dashed or plain; braces and ``urn:`` are refused."""
    return len(text) in (32, 36) and str(uuid.UUID(text)).replace('-', '') == text.lower().replace('-', '')


@_format('printable')
def _is_printable(text: str) -> bool:
    """No control characters, and not blank at either end."""
    return text.isprintable() and text == text.strip() and bool(text)


@_format('no-edge-space')
def _no_edge_space(text: str) -> bool:
    return text == text.strip()


@_format('date-time')
def _is_time(text: str) -> object:
    return clock.parse(text)


@_format('base64')
def _is_base64(text: str) -> object:
    try:
        return base64.b64decode(''.join(text.split()), validate=True) is not None
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _zoneless(parse: Callable[[str], object]) -> Callable[[str], object]:
    """An address without a zone: ``fe80::1%eth0`` means something on one host only, and is a second spelling."""
    def check(text: str) -> object:
        if '%' in text:
            raise ValueError('an address with a zone')
        return parse(text)
    return check


_format('ipv4')(ipaddress.IPv4Address)
_format('ipv6')(_zoneless(ipaddress.IPv6Address))
_format('ip')(_zoneless(ipaddress.ip_address))
_format('cidr')(_zoneless(lambda text: ipaddress.ip_network(text, strict=False)))


@_format('mac')
def _is_mac(text: str) -> bool:
    return bool(re.fullmatch(r'[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}', text))


@_format('uri')
def _is_uri(text: str) -> bool:
    return bool(re.fullmatch(r'[A-Za-z][A-Za-z0-9+.-]*://[^\s]+', text))


def true(value: object) -> bool:
    """A member of ``BOOLEAN`` as a truth value."""
    return value if isinstance(value, bool) else str(value).lower() in ('true', '1', 'on', 'yes')


def parse_json(raw: bytes) -> Any:
    """The document in a body; ``errors.Invalid`` for broken JSON, bad UTF-8 or absurd nesting."""
    try:
        return orjson.loads(raw)
    except (ValueError, RecursionError) as error:
        raise errors.Invalid('Malformed request body: not valid JSON.') from error


def _anchored(node: Any) -> Any:
    """A schema whose patterns end where JSON Schema says: Python's ``$`` lets a last line feed pass."""
    if isinstance(node, list):
        return [_anchored(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {key: _ended(child) if key == 'pattern' and isinstance(child, str)
            else {_ended(name): _anchored(each) for name, each in child.items()} if key == 'patternProperties'
            else _anchored(child) for key, child in node.items()}


def _ended(pattern: str) -> str:
    return re.sub(r'(?<!\\)\$(?=$|[|)])', r'\\Z', pattern)


class Document:
    """A JSON Schema over the whole body, with spans by version."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        self.validator = functools.cache(self._validator)

    def at(self, asked: Version) -> dict[str, Any]:
        """The schema as it stood in one version."""
        return prune(self.schema, asked)

    def _validator(self, asked: Version) -> jsonschema.Draft7Validator:
        return jsonschema.Draft7Validator(_anchored(self.at(asked)), format_checker=FORMATS)

    def parse(self, document: Any, asked: Version) -> Any:
        """The part of a valid body that the handler is given; ``errors.Invalid`` otherwise."""
        refuse(self.validator(asked), document)
        return document


class Body(Document):
    """``{name: {...}}``: the handler is given the inner object.

    ``beside`` declares further top-level keys (scheduler hints, say); the
    handler finds them in ``req.json``.  ``open`` admits unknown members.
    """

    def __init__(self, name: str, properties: Mapping[str, Any], required: Iterable[Any] = (), *,
                 open: Any = False, beside: Mapping[str, Any] | None = None, **more: Any) -> None:
        self.name = name
        inner = {'type': 'object', 'properties': dict(properties), 'required': list(required),
                 'additionalProperties': open, **more}
        super().__init__({'type': 'object', 'properties': {name: inner, **(beside or {})},
                          'required': [name], 'additionalProperties': False})

    def parse(self, document: Any, asked: Version) -> Any:
        return super().parse(document, asked)[self.name]


class Nothing(Document):
    """An action without arguments: ``{name: null}``, and as clients also say, ``{name: {}}``."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__({'type': 'object', 'properties': {name: {'type': ['null', 'object'],
                                                                  'maxProperties': 0}},
                          'required': [name], 'additionalProperties': False})


def refuse(validator: jsonschema.Draft7Validator, document: Any) -> None:
    """Raise ``errors.Invalid`` naming the field, if the document does not hold."""
    if validator.is_valid(document):
        return
    problem = jsonschema.exceptions.best_match(validator.iter_errors(document))
    assert problem is not None
    raise errors.Invalid(describe(problem))


def describe(problem: jsonschema.ValidationError) -> str:
    """One line that names the field and says what would be right."""
    path = '/'.join(str(part) for part in problem.absolute_path)
    secret = any(_SECRET.search(str(part)) for part in problem.absolute_path)
    where = f'Invalid input for field/attribute {path}.' if path else 'Invalid request body.'
    hidden = secret or not path or isinstance(problem.instance, (dict, list))
    value = '' if hidden else f' Value: {_short(problem.instance)}.'
    return f'{where}{value} {_REASONS.get(problem.validator, _other)(problem)}'


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + '...'


def _other(problem: jsonschema.ValidationError) -> str:
    return f'It does not hold to {problem.validator} {_short(problem.validator_value)}.'


def _unknown(problem: jsonschema.ValidationError) -> str:
    known = set(problem.schema.get('properties', ()))
    patterns = problem.schema.get('patternProperties', ())
    extra = sorted(key for key in problem.instance
                   if key not in known and not any(re.search(pattern, key) for pattern in patterns))
    names = ', '.join(repr(_short(key)) for key in extra[:5])
    were = 'was' if len(extra) == 1 else 'were'
    return f'Additional properties are not allowed ({names} {were} unexpected)'


_REASONS: dict[str, Callable[[jsonschema.ValidationError], str]] = {
    'additionalProperties': _unknown,
    'required': lambda p: ', '.join(repr(k) for k in p.validator_value if k not in p.instance)
    + ' is a required property',
    'type': lambda p: f'It is not of type {_types(p.validator_value)}',
    'enum': lambda p: f'It is not one of {_short(list(p.validator_value))}',
    'maxLength': lambda p: f'It is too long: at most {p.validator_value} characters',
    'minLength': lambda p: f'It is too short: at least {p.validator_value} characters',
    'minimum': lambda p: f'It is less than the minimum of {p.validator_value}',
    'maximum': lambda p: f'It is greater than the maximum of {p.validator_value}',
    'maxItems': lambda p: f'It has too many items: at most {p.validator_value}',
    'minItems': lambda p: f'It has too few items: at least {p.validator_value}',
    'maxProperties': lambda p: f'It has too many members: at most {p.validator_value}',
    'minProperties': lambda p: f'It has too few members: at least {p.validator_value}',
    'uniqueItems': lambda p: 'It has the same item twice',
    'pattern': lambda p: f'It does not match {p.validator_value!r}'.replace(r'\\Z', '$'),
    'format': lambda p: f'It is not a {p.validator_value!r}',
}


def _types(value: str | Sequence[str]) -> str:
    return repr(value) if isinstance(value, str) else ', '.join(repr(each) for each in value)


@dataclasses.dataclass(frozen=True)
class Param:
    """One query parameter.  ``many`` keeps every occurrence, as a list; else the last one counts."""

    convert: Callable[[str], Any] = str
    many: bool = False
    kind: str = 'string'


def _text(value: str) -> str:
    if len(value) > 255:
        raise ValueError('it is too long: at most 255 characters')
    return value


def _integer(value: str) -> int:
    if not re.fullmatch(r'[0-9]{1,18}', value, re.ASCII):
        raise ValueError('it is not a non-negative integer')
    return int(value)


def _positive(value: str) -> int:
    if (number := _integer(value)) < 1:
        raise ValueError('it is not a positive integer')
    return number


def _boolean(value: str) -> bool:
    if value.lower() not in ('true', '1', 'on', 'yes', 't', 'y', 'false', '0', 'off', 'no', 'f', 'n'):
        raise ValueError('it is not a boolean')
    return value.lower() in ('true', '1', 'on', 'yes', 't', 'y')


TEXT = Param(_text)
TEXTS = Param(_text, many=True)
INTEGER = Param(_integer, kind='integer')
POSITIVE = Param(_positive, kind='integer')
FLAG = Param(_boolean, kind='boolean')
MOMENT = Param(clock.parse, kind='date-time')


def one_of(*values: str) -> Param:
    """A parameter that takes one of a few words."""
    def convert(value: str) -> str:
        if value not in values:
            raise ValueError(f'it is not one of {", ".join(values)}')
        return value
    return Param(convert)


class Query:
    """The parameters of a query string, with spans by version.

    ``unknown`` says what happens to others: 'ignore', 'refuse', or 'keep'
    (as lists of strings); it may be a ``Choice`` of spans.
    """

    def __init__(self, params: Mapping[str, Any], *, unknown: Any = 'ignore') -> None:
        self._params, self._unknown = params, unknown
        self.at = functools.cache(lambda asked: (prune(params, asked), prune(unknown, asked)))

    def parse(self, values: Mapping[str, Sequence[str]], asked: Version) -> dict[str, Any]:
        """The parameters as Python values; ``errors.Invalid`` names the one at fault."""
        params, unknown = self.at(asked)
        parsed: dict[str, Any] = {}
        for name, given in values.items():
            param = params.get(name)
            if param is None:
                if unknown == 'refuse':
                    raise errors.Invalid('Invalid input for query parameters {name}. '
                                         'Additional properties are not allowed.', name=_short(name))
                if unknown == 'keep':
                    parsed[name] = list(given)
                continue
            try:
                converted = [param.convert(each) for each in given]
            except (ValueError, OverflowError) as error:
                raise errors.Invalid('Invalid input for query parameters {name}. Value: {value}. {why}',
                                     name=name, value=_short(given[-1]), why=str(error)) from error
            parsed[name] = converted if param.many else converted[-1]
        return parsed
