"""Reads every database of this host, so that one that cannot be read is found before it is needed."""

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from strata import green
from swift import recon
from swift.db import connections, walk
from swift.db.broker import Broker
from swift.db.errors import DatabaseBusy, DatabaseCorrupt, DatabaseMissing
from swift.ring.hashing import HashPath
from swift.storage.devices import Devices

LOG = logging.getLogger(__name__)


#: what a sweep counts -> its published name
METRICS = {'passed': 'passes', 'failed': 'failures'}


class Fault(Exception):
    """What a database says does not fit together."""


class Auditor:
    """One sweep over databases of one kind."""

    def __init__(self, broker: type[Broker], conf: SimpleNamespace, rate: float,
                 look: Callable[[Any, dict[str, Any]], None]) -> None:
        """``rate``: databases a second, 0: as many as possible; ``look`` raises ``Fault`` for what does not fit."""
        self.broker = broker
        self.conf = conf
        self.pause = 1 / rate if rate else 0.0
        self.look = look
        self.devices = Devices(conf.devices, mount_check=conf.mount_check)
        self.hashing = HashPath.load(os.path.join(conf.swift_dir, 'swift.conf'))
        self.connections = connections.Connections(8)

    def sweep(self, devices: Iterable[str] | None = None, partitions: Iterable[str] | None = None) -> tuple[int, int]:
        """(passed, failed)."""
        started, passed, failed, kind = time.time(), 0, 0, self.broker.kind
        for name in self.devices.names():
            if devices and name not in devices:
                continue
            for _, path in walk.databases(self.devices.path(name), self.broker.datadir, partitions):
                verdict = self.audit(path)
                passed += verdict is True
                failed += verdict is False
                green.sleep(self.pause)
        recon.dump(self.conf.recon_cache_path, kind, {
            f'{kind}_audits_since': started, f'{kind}_audits_passed': passed, f'{kind}_audits_failed': failed,
            f'{kind}_auditor_pass_completed': time.time() - started})
        return passed, failed

    def audit(self, path: str) -> bool | None:
        """Whether a database is sound; ``None`` if it has just gone or is busy.  A broken one is quarantined."""
        broker = self.broker(self.connections, path)
        try:
            self._read(broker, path)
            info = broker.info()
            digest = self.hashing.hexdigest(info['account'], info.get('container'))
            if digest != os.path.basename(broker.directory):
                raise Fault(f'it is that of {info["account"]}/{info.get("container", "")}, whose place is {digest}')
            self.look(broker, info)
        except (DatabaseMissing, DatabaseBusy):
            return None
        except DatabaseCorrupt:
            return False
        except (Fault, sqlite3.Error) as error:
            LOG.error('Audit failed for %s: %s', path, error)
            return False
        return True

    @staticmethod
    def _read(broker: Broker, path: str) -> None:
        """Read all of it, beside other greenlets."""
        if not os.path.exists(path):
            raise DatabaseMissing(path=path)
        try:
            found = green.native(_check, path)
        except sqlite3.Error as error:
            if connections.is_busy(error):
                raise DatabaseBusy(path=path) from error
            if not connections.is_corrupt(error):
                raise
            found = str(error)
        if found != 'ok':
            broker.quarantine(found)

    def close(self) -> None:
        """Close what is open."""
        self.connections.close()


def _check(path: str) -> str:
    connection = sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=5)
    try:
        return str(connection.execute('PRAGMA quick_check(1)').fetchone()[0])
    finally:
        connection.close()
