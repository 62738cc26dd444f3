"""The daemons of a cloud on this host: their CPU time, and the memory of all that belongs to it."""

import json
import os
from collections.abc import Iterator

_TICK = 1 / os.sysconf('SC_CLK_TCK')


def daemons(data_dir: str) -> dict[str, int]:
    """Process ids of the running daemons by name, from what the launcher writes down; empty if none runs."""
    try:
        with open(os.path.join(data_dir, 'run', 'processes.json'), encoding='utf-8') as file:
            state = json.load(file)
    except (OSError, ValueError):
        return {}
    found = {'onestack': state['parent'], **{one['name']: one['pid'] for one in state['processes'] if one['pid']}}
    return {name: pid for name, pid in found.items() if os.path.exists(f'/proc/{pid}')}


def cpu(pid: int) -> float:
    """Seconds of CPU a process has used, all its threads, to 10 ms; 0 if it is gone."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
            fields = file.read().rpartition(')')[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK


class Meter:
    """CPU used by daemons while the block runs.

    ::

        with Meter(pids) as meter:
            ...
        meter.per(requests)      # {'cpu_ms': 0.42, 'cpu_ms_by_daemon': {'keystone': 0.42}}
    """

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids, self.used = pids, {}

    def __enter__(self) -> 'Meter':
        self._before = {name: cpu(pid) for name, pid in self._pids.items()}
        return self

    def __exit__(self, *_: object) -> None:
        self.used = {name: cpu(pid) - self._before[name] for name, pid in self._pids.items()}

    def per(self, requests: int) -> dict[str, object]:
        """Milliseconds per request, of all and of each daemon that had a part; empty if no daemon is known."""
        if not self._pids or not requests:
            return {}
        parts = {name: round(seconds * 1000 / requests, 3) for name, seconds in self.used.items()
                 if seconds * 1000 / requests >= 0.005}
        return {'cpu_ms': round(sum(self.used.values()) * 1000 / requests, 3), 'cpu_ms_by_daemon': parts}


def memory(data_dir: str) -> dict[str, float]:
    """Proportional set size in MB of every process of the cloud but its virtual machines, by name and pid.

    Those of the launcher's file, their descendants, and every dnsmasq with a
    file in the data directory (it leaves its parent).
    """
    names = {pid: name for name, pid in daemons(data_dir).items()}
    if not names:
        return {}
    parents = dict(_parents())
    mine = set(_line(os.getpid(), parents))
    found = {}
    for pid in parents:
        if pid in mine or _command(pid, 'comm').startswith('qemu'):
            continue
        serves = _command(pid, 'comm').startswith('dnsmasq') and f'{data_dir}/' in _command(pid, 'cmdline')
        if not serves and not any(one in names for one in _line(pid, parents)):
            continue
        size = _pss(pid)
        if size:
            found[f'{names.get(pid) or _command(pid, "comm").strip()}/{pid}'] = round(size / 1024, 1)
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open(f'/proc/{name}/stat', encoding='utf-8', errors='replace') as file:
                    yield int(name), int(file.read().rpartition(')')[2].split()[1])
            except OSError:
                continue


def _line(pid: int, parents: dict[int, int]) -> Iterator[int]:
    """A process, its parent, and so on."""
    while pid > 1:
        yield pid
        pid = parents.get(pid, 0)


def _command(pid: int, what: str) -> str:
    try:
        with open(f'/proc/{pid}/{what}', encoding='utf-8', errors='replace') as file:
            return file.read()
    except OSError:
        return ''


def _pss(pid: int) -> int:
    try:
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
            return next(int(line.split()[1]) for line in file if line.startswith('Pss:'))
    except (OSError, StopIteration):
        return 0
