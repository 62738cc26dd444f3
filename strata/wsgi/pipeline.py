"""Paste pipelines: from an operator's ini file to the application, wired to one process.

Paste hands its factories strings only, so the wiring waits in ``current()``
while the file is loaded.
"""

import contextvars
import os
from typing import Any

from paste import deploy

from strata import errors

_WIRING: contextvars.ContextVar[Any] = contextvars.ContextVar('wiring', default=None)


def load(path: str, name: str, wiring: Any) -> Any:
    """The WSGI application ``name`` of a paste ini file.

    Raises ``errors.Invalid`` naming the file if it is missing or does not
    define the application; what a factory raises comes through as it is.
    """
    path = os.path.abspath(path)
    if not os.path.exists(path):
        raise errors.Invalid(f'{path}: no such file')
    mark = _WIRING.set(wiring)
    try:
        return deploy.loadapp(f'config:{path}', name=name)
    except (LookupError, ImportError) as error:
        raise errors.Invalid(f'{path}: {error}') from error
    finally:
        _WIRING.reset(mark)


def current() -> Any:
    """The wiring of the process whose pipeline is being loaded; for factories."""
    wiring = _WIRING.get()
    if wiring is None:
        raise RuntimeError('pipeline.current() outside of pipeline.load()')
    return wiring
