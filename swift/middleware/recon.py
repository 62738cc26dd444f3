"""/recon/...: how a storage node is, for ``swift-recon``: memory, load, disks, rings, and what its daemons last did.

    [filter:recon]
    use = egg:swift#recon
    recon_cache_path = /var/cache/swift
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from types import SimpleNamespace
from typing import Any

from swift import conf as confs
from swift import recon
from swift.http import HttpError, Request, Response, serving

OPTIONS = {
    'recon_cache_path': confs.Option(confs.text, recon.CACHE_PATH, 'where daemons leave what they did'),
    'swift_dir': confs.Option(confs.text, '/etc/swift', 'where the rings are'),
    'devices': confs.Option(confs.text, '/srv/node', 'where the devices are'),
}

_REPLICATION = ('replication_time', 'replication_stats', 'replication_last')
_SHARDING = ('sharding_stats', 'sharding_time', 'sharding_last')
#: path -> (the file, the keys of it)
CACHED: dict[str, tuple[str, tuple[str, ...]]] = {
    'async': ('object', ('async_pending', 'async_pending_last')),
    'driveaudit': ('drive', ('drive_audit_errors',)),
    'auditor/account': ('account', ('account_audits_passed', 'account_auditor_pass_completed',
                                    'account_audits_since', 'account_audits_failed')),
    'auditor/container': ('container', ('container_audits_passed', 'container_auditor_pass_completed',
                                        'container_audits_since', 'container_audits_failed')),
    'auditor/object': ('object', ('object_auditor_stats_ALL', 'object_auditor_stats_ZBF')),
    'updater/container': ('container', ('container_updater_sweep',)),
    'updater/object': ('object', ('object_updater_sweep', 'object_updater_stats', 'object_updater_last')),
    'expirer/object': ('object', ('object_expiration_pass', 'expired_last_pass')),
    'replication': ('object', (*_REPLICATION, 'object_replication_time', 'object_replication_last')),
    'replication/object': ('object', (*_REPLICATION, 'object_replication_time', 'object_replication_last')),
    'replication/container': ('container', _REPLICATION),
    'replication/account': ('account', _REPLICATION),
    'reconstruction/object': ('object', ('object_reconstruction_last', 'object_reconstruction_time')),
    'relinker': ('relinker', ('devices', 'workers')),
    'sharding': ('container', _SHARDING),
    'sharding/container': ('container', _SHARDING),
}
#: bytes of /proc/mounts escapes
_OCTAL = re.compile(r'\\([0-7]{3})')


class Recon:
    """The filter."""

    def __init__(self, app: Any, conf: SimpleNamespace) -> None:
        self.app = app
        self._cache = conf.recon_cache_path
        self._swift_dir = conf.swift_dir
        self._devices = conf.devices
        self._answers: dict[str, Callable[[], Any]] = {
            'mem': memory, 'load': load, 'mounted': mounted, 'unmounted': self.unmounted,
            'diskusage': self.disk_usage, 'ringmd5': self.ring_sums, 'swiftconfmd5': self.conf_sum,
            'quarantined': self.quarantined, 'sockstat': sockets, 'devices': self.devices,
            'version': lambda: {'version': version()}, 'time': time.time,
        }
        self._sums: dict[str, tuple[tuple[int, int], str]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ['PATH_INFO']
        if path != '/recon' and not path.startswith('/recon/'):
            return self.app(environ, start_response)
        return self.tell(environ, start_response)

    @serving
    def tell(self, request: Request) -> Response:
        """The answer to one path below /recon."""
        if request.method not in ('GET', 'HEAD'):
            raise HttpError(405, headers={'Allow': 'GET, HEAD'})
        name = request.path_info[len('/recon/'):].rstrip('/')
        if name in CACHED:
            kind, keys = CACHED[name]
            known = recon.load(self._cache, kind)
            content: Any = {key: known.get(key) for key in keys}
        elif name in self._answers:
            content = self._answers[name]()
        else:
            status = 404 if request.path_info != '/recon' else 400
            raise HttpError(status, f'Invalid path: {request.quoted_path}', {'Content-Type': 'text/plain'})
        return Response(200, json.dumps(content), {'Content-Type': 'application/json'})

    # disks

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self._devices))
        except OSError:
            return []

    def _mounted(self, name: str) -> bool | str:
        path = os.path.join(self._devices, name)
        try:
            return os.path.ismount(path)
        except OSError as error:
            return str(error)

    def devices(self) -> dict[str, list[str]]:
        """The devices' directories."""
        return {self._devices: self._names()}

    def unmounted(self) -> list[dict[str, Any]]:
        """Devices that are no mount points."""
        return [{'device': name, 'mounted': state} for name in self._names()
                if (state := self._mounted(name)) is not True]

    def disk_usage(self) -> list[dict[str, Any]]:
        """Bytes of each device that is mounted."""
        told: list[dict[str, Any]] = []
        for name in self._names():
            entry: dict[str, Any] = {'device': name, 'mounted': self._mounted(name), 'size': '', 'used': '',
                                     'avail': ''}
            if entry['mounted'] is True:
                try:
                    state = os.statvfs(os.path.join(self._devices, name))
                    entry.update(size=state.f_blocks * state.f_frsize, avail=state.f_bavail * state.f_frsize,
                                 used=(state.f_blocks - state.f_bfree) * state.f_frsize)
                except OSError as error:
                    entry['mounted'] = str(error)
            told.append(entry)
        return told

    def quarantined(self) -> dict[str, Any]:
        """How many of each kind auditors and servers put aside."""
        told: dict[str, Any] = {'objects': 0, 'containers': 0, 'accounts': 0, 'policies': {}}
        for name in self._names():
            base = os.path.join(self._devices, name, 'quarantined')
            for kind in ('accounts', 'containers'):
                told[kind] += _entries(os.path.join(base, kind))
            for folder in _list(base):
                stem, _, index = folder.partition('-')
                if stem != 'objects' or (index and not index.isdecimal()):
                    continue
                count = _entries(os.path.join(base, folder))
                told['objects'] += count
                policy = told['policies'].setdefault(str(int(index or 0)), {'objects': 0})
                policy['objects'] += count
        return told

    # rings

    def _sum(self, path: str) -> str | None:
        """The md5 of a file, read again only when it changed."""
        try:
            state = os.stat(path)
            stamp = (state.st_mtime_ns, state.st_size)
            known = self._sums.get(path)
            if known is None or known[0] != stamp:
                with open(path, 'rb') as file:
                    known = (stamp, hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest())
                self._sums[path] = known
        except OSError:
            return None
        return known[1]

    def ring_sums(self) -> dict[str, str]:
        """The md5 of each ring file."""
        names = [name for name in _list(self._swift_dir)
                 if re.fullmatch(r'(account|container|object(-[0-9]+)?)\.ring\.gz', name)]
        sums = {path: self._sum(path) for path in (os.path.join(self._swift_dir, name) for name in sorted(names))}
        return {path: value for path, value in sums.items() if value is not None}

    def conf_sum(self) -> dict[str, str | None]:
        """The md5 of swift.conf."""
        path = os.path.join(self._swift_dir, 'swift.conf')
        return {path: self._sum(path)}


def version() -> str:
    """That of this program."""
    try:
        return metadata.version('strata-cloud')
    except metadata.PackageNotFoundError:
        return '0'


def memory() -> dict[str, str]:
    """/proc/meminfo."""
    told = {}
    for line in _lines('/proc/meminfo'):
        name, colon, value = line.partition(':')
        if colon:
            told[name.strip()] = value.strip()
    return told


def load() -> dict[str, Any]:
    """/proc/loadavg."""
    pieces = (' '.join(_lines('/proc/loadavg')) or '0 0 0 0/0 0').split()
    return {'1m': float(pieces[0]), '5m': float(pieces[1]), '15m': float(pieces[2]), 'tasks': pieces[3],
            'processes': int(pieces[4])}


def mounted() -> list[dict[str, str]]:
    """/proc/mounts."""
    told = []
    for line in _lines('/proc/mounts'):
        device, path = (_OCTAL.sub(lambda match: chr(int(match.group(1), 8)), each) for each in line.split()[:2])
        told.append({'device': device, 'path': path})
    return told


def sockets() -> dict[str, int]:
    """/proc/net/sockstat and its sister for IPv6."""
    told = {}
    for line in _lines('/proc/net/sockstat'):
        if line.startswith('TCP: inuse'):
            pieces = line.split()
            told = {'tcp_in_use': int(pieces[2]), 'orphan': int(pieces[4]), 'time_wait': int(pieces[6]),
                    'tcp_mem_allocated_bytes': int(pieces[10]) * os.sysconf('SC_PAGESIZE')}
    for line in _lines('/proc/net/sockstat6'):
        if line.startswith('TCP6: inuse'):
            told['tcp6_in_use'] = int(line.split()[2])
    return told


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return file.read().splitlines()
    except OSError:
        return []


def _list(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _entries(path: str) -> int:
    return len(_list(path))


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], Recon]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:recon]')
    return lambda app: Recon(app, conf)
