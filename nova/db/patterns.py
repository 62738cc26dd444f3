"""Regular expressions from clients: a subset that means the same on all three databases and cannot run away.

Literals, ``.``, classes, anchors, alternatives, groups, and quantifiers on
single characters.  A backtracking matcher tries at most the product of all
choices that a pattern leaves it, so that product is bounded: two unbounded
quantifiers in names of 255 characters, or sixteen choices of two.
"""

import re
from typing import Any

import sqlalchemy as sa

from strata import errors

MOST_CHARACTERS = 255
MOST_CHOICES = 2 ** 16

_ATOM = re.compile(r"""
    \\[dDwWsS.^$*+?()\[\]{}|/\\_: @-] | \[\^?(?:[^\[\]\\]|\\[\\\]\[^-])+\] | [^\\\[\](){}*+?|^$]
""", re.VERBOSE)
_QUANTIFIER = re.compile(r'\*|\+|\?|\{(\d{1,2})(,(\d{0,2}))?\}')


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
    at, depth, choices, after_atom = 0, 0, 1, False
    while at < len(pattern):
        here = pattern[at]
        if here in '^$|(':
            if pattern.startswith('(?', at):
                return False
            depth += here == '('
            choices *= 4 if here == '|' else 1
            at, after_atom = at + 1, False
        elif here == ')':
            depth -= 1
            at, after_atom = at + 1, False      # a group takes no quantifier
        elif quantifier := _QUANTIFIER.match(pattern, at):
            if not after_atom:
                return False
            choices *= _choices(quantifier)
            at, after_atom = quantifier.end(), False
        elif atom := _ATOM.match(pattern, at):
            at, after_atom = atom.end(), True
        else:
            return False
        if depth < 0 or choices > MOST_CHOICES:
            return False
    return depth == 0 and _compiles(pattern)


def _choices(quantifier: re.Match[str]) -> int:
    """How many repetitions a quantifier leaves open."""
    if quantifier[0] in '*+' or (quantifier[2] and not quantifier[3]):
        return MOST_CHARACTERS
    if quantifier[0] == '?':
        return 2
    return max(1, int(quantifier[3] or quantifier[1]) - int(quantifier[1]) + 1)


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, OverflowError):
        return False
    return True
