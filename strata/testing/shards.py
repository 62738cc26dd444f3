"""A pytest plug-in by which several runs of pytest share one set of tests.

``tools/test`` starts one run per core, each with::

    STRATA_SHARD    a folder the runs have in common: who claims a file there first runs it
    STRATA_REPORT   where the run writes its counts, as JSON

The runs take files as they come free, the long ones of real processes first.
Tests that need servers are one piece, so that the servers are started once;
tests that change the host (root, virtual machines, the onestack command) are
another, so that they never meet each other.

pytest-xdist cannot do this: its workers hang once the interpreter is patched.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

#: mark -> the piece that all such tests belong to
PIECES = {'root': 'host', 'qemu': 'host', 'onestack': 'host', 'server': 'servers'}
COUNTED = ('passed', 'failed', 'error', 'skipped', 'deselected', 'xfailed', 'xpassed', 'warnings')


def pieces(items: Iterable[pytest.Item]) -> dict[str, list[pytest.Item]]:
    """The tests by the piece that one run takes as a whole, the largest pieces first."""
    found: dict[str, list[pytest.Item]] = {'host': [], 'servers': []}
    for item in sorted(items, key=lambda item: item.get_closest_marker('probe') is None):
        names = {PIECES[mark.name] for mark in item.iter_markers() if mark.name in PIECES}
        found.setdefault('host' if 'host' in names else names.pop() if names else str(item.path), []).append(item)
    return found


def claimed(folder: str, all_pieces: dict[str, list[pytest.Item]]) -> Iterator[pytest.Item]:
    """The tests this run gets to do, one piece after the other."""
    for name, tests in all_pieces.items():
        mark = os.path.join(folder, hashlib.sha256(name.encode()).hexdigest())
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        yield from tests


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run what this run claims; without a shared folder pytest's own loop does it."""
    folder = os.environ.get('STRATA_SHARD')
    if not folder or session.testsfailed or session.config.option.collectonly:
        return None
    tests = claimed(folder, pieces(session.items))
    test = next(tests, None)
    while test is not None:
        following = next(tests, None)
        test.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        test = following
    return True


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Write the counts for whoever adds them up."""
    path = os.environ.get('STRATA_REPORT')
    if path:
        with open(path, 'w', encoding='ascii') as report:
            json.dump({name: len(terminalreporter.stats.get(name, ())) for name in COUNTED}, report)
