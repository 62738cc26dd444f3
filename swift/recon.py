"""Recon: what daemons last did, in one JSON file per kind of server, for ``swift-recon`` and the middleware."""

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from typing import Any

from strata import errors, locks

LOG = logging.getLogger(__name__)

CACHE_PATH = '/var/cache/swift'


def cache_file(directory: str, kind: str) -> str:
    """The file of ``account``, ``container``, ``object`` or ``drive``."""
    return os.path.join(directory, f'{kind}.recon')


def dump(directory: str, kind: str, values: Mapping[str, Any]) -> None:
    """Merge values into a cache file; an inner ``{}`` or ``None`` removes its key.

    Recon is for looking at: what cannot be written is logged, not raised.
    """
    path = cache_file(directory, kind)
    try:
        os.makedirs(directory, exist_ok=True)
        with locks.file(f'{path}.lock', timeout=10):
            _replace(path, _merged(load(directory, kind), values))
    except (OSError, errors.Timeout) as error:
        LOG.warning('recon: %s cannot be written: %s', path, error)
    except Exception:
        LOG.exception('recon: %s cannot be written', path)


def load(directory: str, kind: str) -> dict[str, Any]:
    """What the file holds; nothing if it is missing or broken."""
    try:
        with open(cache_file(directory, kind), encoding='utf-8') as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        if value is None or value == {}:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = value
    return merged


def _replace(path: str, values: dict[str, Any]) -> None:
    descriptor, name = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with os.fdopen(descriptor, 'w', encoding='utf-8') as file:
            json.dump(values, file)
            file.write('\n')
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
