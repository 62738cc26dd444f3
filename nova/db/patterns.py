"""Regular expressions from clients: a subset that means the same on all three databases and cannot run away.

Literals, ``.``, classes, anchors, alternatives, groups, and quantifiers on
single characters.  No nested quantifiers and few unbounded ones, so that the
time a match takes stays a small power of the name's length.
"""

import re
from typing import Any

import sqlalchemy as sa

from strata import errors

MOST_CHARACTERS = 255
MOST_UNBOUNDED = 4

_ATOM = re.compile(r"""
    \\[dDwWsS.^$*+?()\[\]{}|/\\_: @-] | \[\^?(?:[^\[\]\\]|\\[\\\]\[^-])+\] | [^\\\[\](){}*+?|^$]
""", re.VERBOSE)
_QUANTIFIER = re.compile(r'\*|\+|\?|\{(\d{1,3})(,(\d{0,3}))?\}')


def matches(column: Any, pattern: str, field: str) -> sa.ColumnElement[bool]:
    """The condition that ``column`` matches ``pattern`` anywhere; ``errors.Invalid`` names the field."""
    if not _is_tame(pattern):
        raise errors.Invalid('Invalid input for query parameters {field}. Value: {value}. It is not a '
                             'regular expression that can be searched for here', field=field,
                             value=pattern[:80])
    found: sa.ColumnElement[bool] = column.regexp_match(pattern)
    return found


def _is_tame(pattern: str) -> bool:
    """Whether a pattern is of the subset, and valid."""
    if len(pattern) > MOST_CHARACTERS or '\0' in pattern:
        return False
    at, depth, unbounded, after_atom = 0, 0, 0, False
    while at < len(pattern):
        here = pattern[at]
        if here in '^$|(':
            if here == '(' and pattern[at + 1:at + 2] == '?':
                return False
            depth += here == '('
            at, after_atom = at + 1, False
        elif here == ')':
            depth -= 1
            at, after_atom = at + 1, False      # a group takes no quantifier
        elif quantifier := _QUANTIFIER.match(pattern, at):
            if not after_atom:
                return False
            open_ended = bool(quantifier[2] and not quantifier[3])
            unbounded += here in '*+' or open_ended or int(quantifier[3] or 0) > 20
            at, after_atom = quantifier.end(), False
        elif atom := _ATOM.match(pattern, at):
            at, after_atom = atom.end(), True
        else:
            return False
        if depth < 0 or unbounded > MOST_UNBOUNDED:
            return False
    return depth == 0 and _compiles(pattern)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, OverflowError):
        return False
    return True
