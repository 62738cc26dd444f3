"""Configuration of the storage system: one section of an ini file, with options that know their types.

Files are those operators have: a paste section for an application or filter, a
section named for a daemon, each over ``[DEFAULT]``; a directory of such files
is read as one, in the order of names.
"""

import configparser
import dataclasses
import os
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from strata import errors

TRUE = frozenset({'true', '1', 'yes', 'on', 't', 'y'})
FALSE = frozenset({'false', '0', 'no', 'off', 'f', 'n', ''})


def text(value: str) -> str:
    """As it stands, without the white space around it."""
    return value.strip()


def integer(value: str) -> int:
    """A whole number, maybe negative."""
    return int(value)


def count(value: str) -> int:
    """A whole number from 0."""
    number = int(value)
    if number < 0:
        raise ValueError('must not be negative')
    return number


def positive(value: str) -> int:
    """A whole number from 1."""
    number = int(value)
    if number < 1:
        raise ValueError('must be at least 1')
    return number


def number(value: str) -> float:
    """Seconds, rates, shares: from 0."""
    found = float(value)
    if not 0 <= found < float('inf'):
        raise ValueError('must not be negative, nor infinite')
    return found


def boolean(value: str) -> bool:
    """true 1 yes on t y, or false 0 no off f n."""
    word = value.strip().lower()
    if word not in TRUE | FALSE:
        raise ValueError("must be 'true' or 'false'")
    return word in TRUE


def words(value: str) -> list[str]:
    """A list, by commas or by white space."""
    return [word for piece in value.split(',') for word in piece.split()]


def commas(value: str) -> list[str]:
    """A list by commas only; its members may hold spaces."""
    return [piece.strip() for piece in value.split(',') if piece.strip()]


def choice(*allowed: str) -> Callable[[str], str]:
    """One of these words."""
    def one_of(value: str) -> str:
        word = value.strip().lower()
        if word not in allowed:
            raise ValueError(f'must be one of {", ".join(allowed)}')
        return word
    return one_of


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """How to read one option; ``default`` is of the type that ``kind`` makes."""

    kind: Callable[[str], Any]
    default: Any
    help: str


def options(conf: Mapping[str, Any], declared: Mapping[str, Option], where: str = '') -> SimpleNamespace:
    """The declared options of a section as typed attributes; others are not looked at.

    Raises ``errors.Invalid`` naming the option and what it may be.
    """
    values = {}
    for name, option in declared.items():
        given = conf.get(name)
        if given is None:
            values[name] = option.default
            continue
        try:
            values[name] = option.kind(str(given))
        except ValueError as error:
            place = f'{where}: ' if where else ''
            raise errors.Invalid(f'{place}{name} = {given}: {error}') from error
    return SimpleNamespace(**values)


def true(value: Any) -> bool:
    """Whether a header's or parameter's value means yes; anything unknown means no."""
    return str(value).strip().lower() in TRUE if value is not None else False


def parse(path: str) -> configparser.RawConfigParser:
    """All sections of an ini file, or of the ``*.conf`` files of a directory; raises ``errors.Invalid``."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str    # type: ignore[assignment,method-assign]
    files = [path]
    if os.path.isdir(path):
        files = sorted(os.path.join(path, name) for name in os.listdir(path)
                       if name.endswith('.conf') and not name.startswith('.'))
    for each in files:
        try:
            with open(each, encoding='utf-8', errors='surrogateescape') as file:
                parser.read_file(file)
        except OSError as error:
            raise errors.Invalid(f'{each} cannot be read: {error.strerror}') from error
        except configparser.Error as error:
            raise errors.Invalid(f'{each} is no configuration file: {error}') from error
    return parser


def read(path: str, section: str, *, required: bool = False) -> dict[str, str]:
    """A section over ``[DEFAULT]``; one that is missing gives the defaults alone unless ``required``.

    ``set name = value``, paste's way to override a default, is understood.
    Raises ``errors.Invalid``.
    """
    parser = parse(path)
    values = dict(parser.defaults())
    if parser.has_section(section):
        for name, value in parser.items(section):
            values[name.removeprefix('set ').strip()] = value
    elif required:
        raise errors.Invalid(f'{path}: there is no section [{section}]')
    values.setdefault('__file__', path)
    return values
