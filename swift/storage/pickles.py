"""Pickles as Swift's files and messages hold them, read without running anything they name.

A pickle can name any function of the process that reads it.  What lies on a
disk or comes over the wire is not trusted so far: plain values are built, and
of named things only those below, none of which can do more than build one.
"""

import codecs
import io
import pickle
from typing import Any

from swift.storage.errors import Unsafe


class _Plain(dict[Any, Any]):
    """Stands for dictionary classes of others, whose state is their items."""

    def __setstate__(self, state: Any) -> None:
        """What else such an object had is dropped."""


def _encode(text: str, encoding: str = 'latin1') -> bytes:
    if encoding != 'latin1':
        raise Unsafe(why=f'bytes in {encoding!r}')
    return codecs.encode(text, 'latin1')


def _empty(*args: Any) -> bytes:
    if args:
        raise Unsafe(why='bytes of something')
    return b''


def _reconstructor(kind: type, base: type, state: Any) -> Any:
    if kind is not _Plain or base is not dict:
        raise Unsafe(why='an object of another class')
    return _Plain(state)


#: how pickles of protocol 2 and below write bytes, and a dictionary of headers
KNOWN = {
    ('_codecs', 'encode'): _encode,
    ('__builtin__', 'bytes'): _empty,
    ('builtins', 'bytes'): _empty,
    ('copy_reg', '_reconstructor'): _reconstructor,
    ('copyreg', '_reconstructor'): _reconstructor,
    ('__builtin__', 'dict'): dict,
    ('builtins', 'dict'): dict,
    ('swift.common.header_key_dict', 'HeaderKeyDict'): _Plain,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return KNOWN[module, name]
        except KeyError:
            raise Unsafe(why=f'it names {module}.{name}') from None


def loads(data: bytes, encoding: str = 'utf-8') -> Any:
    """The value; strings of Python 2 are decoded (``bytes``: left as they are).

    Raises ``Unsafe`` for anything but plain values, and for what is no pickle.
    """
    try:
        return _Unpickler(io.BytesIO(data), encoding=encoding).load()
    except Unsafe:
        raise
    except Exception as error:      # the C code raises nearly every type there is
        raise Unsafe(why=str(error) or type(error).__name__) from error


def dumps(value: Any) -> bytes:
    """In protocol 2, as servers of any release read it."""
    return pickle.dumps(value, 2)
