"""Paths and names: how they are cut, quoted, and turned from bytes to text and back.

Three kinds of string are about.  *Text* is a name as people write it.  A *WSGI
string* holds the UTF-8 bytes of a name as latin-1 characters (PEP 3333): so come
PATH_INFO and all headers.  A *quoted* path is ASCII, for the wire.
"""

import urllib.parse

SAFE = '/~'


def wsgi_to_text(value: str) -> str:
    """Raises ``UnicodeDecodeError`` (a ``ValueError``) if it is no UTF-8."""
    return value if value.isascii() else value.encode('latin-1').decode('utf-8')


def text_to_wsgi(value: str) -> str:
    """Never fails: a lone surrogate goes the way it came."""
    return value if value.isascii() else value.encode('utf-8', 'surrogateescape').decode('latin-1')


def quote(value: str | bytes, safe: str = SAFE) -> str:
    """Percent-encode text, or bytes as they are."""
    if isinstance(value, str):
        value = value.encode('utf-8', 'surrogateescape')
    return urllib.parse.quote_from_bytes(value, safe)


def wsgi_quote(value: str, safe: str = SAFE) -> str:
    """Percent-encode a WSGI string."""
    return urllib.parse.quote_from_bytes(value.encode('latin-1'), safe)


def unquote(value: str) -> str:
    """Text from a percent-encoded path or header value; raises ``ValueError`` if it is no UTF-8."""
    return urllib.parse.unquote_to_bytes(value).decode('utf-8')


def wsgi_unquote(value: str) -> str:
    """A WSGI string from a percent-encoded one (which may hold WSGI characters too)."""
    return urllib.parse.unquote_to_bytes(value.encode('latin-1')).decode('latin-1')


def split(path: str, least: int = 1, most: int | None = None, rest: bool = False) -> list[str | None]:
    """The pieces of ``/a/c/o``: ``most`` of them, ``None`` for those that are not there.

    ``rest``: the last piece takes all that follows, slashes and empty pieces
    too.  Raises ``ValueError`` for fewer than ``least``, for more than ``most``,
    and for an empty piece before the last.
    """
    most = most or least
    if not 0 < least <= most:
        raise ValueError('least must be from 1 to most')
    # what exceeds ``most`` gets a piece of its own, to be refused, unless the last may hold it
    first, *pieces = path.split('/', most if rest else most + 1)
    if pieces and not pieces[-1]:
        pieces.pop()    # one slash at the end says nothing
    if first or not least <= len(pieces) <= most or not all(pieces):
        raise ValueError(f'not the pieces of a path: {path!r}')
    return [*pieces, *[None] * (most - len(pieces))]


def join(*names: str | None) -> str:
    """``/a/c/o`` of names, up to the first that is missing; as text."""
    path = ''
    for name in names:
        if not name:
            break
        path += '/' + name
    return path
