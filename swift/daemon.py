"""Daemons of the storage system: what is swept once, or again and again.

A daemon is a class with a ``SECTION`` of the conf file, its ``OPTIONS`` and
``run_once``.  ``swift-object-auditor /etc/swift/object-server.conf once`` runs it
once; without ``once``, every ``interval`` seconds until a signal.
"""

import argparse
import grp
import logging
import os
import pwd
import sys
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from strata import errors, log
from strata.service import Service
from swift import conf as confs
from swift import recon, statsd
from swift.conf import Option

LOG = logging.getLogger(__name__)

#: options that every server and daemon has
COMMON = {
    'swift_dir': Option(confs.text, '/etc/swift', 'where swift.conf and the rings are'),
    'devices': Option(confs.text, '/srv/node', 'the directory that devices are mounted in'),
    'mount_check': Option(confs.boolean, True, 'whether a device must be a mount point'),
    'user': Option(confs.text, 'swift', 'who to be, when started by root'),
    'log_level': Option(confs.text, 'INFO', 'DEBUG, INFO, WARNING or ERROR'),
    'log_name': Option(confs.text, '', "how the log calls it; default: the section's name"),
    'log_file': Option(confs.text, '', 'where the log goes; default: standard error'),
    'recon_cache_path': Option(confs.text, recon.CACHE_PATH, 'where recon keeps what daemons did'),
    **statsd.OPTIONS,
}


class Daemon:
    """One kind of sweep."""

    #: the section of the conf file
    SECTION: ClassVar[str]
    #: beside ``COMMON`` and ``interval``
    OPTIONS: ClassVar[Mapping[str, Option]] = {}
    #: seconds between two runs
    INTERVAL: ClassVar[float] = 30
    #: what it counts -> the published name, for statsd
    METRICS: ClassVar[Mapping[str, str]] = {}

    def __init__(self, conf: Mapping[str, Any]) -> None:
        """``conf``: the section over ``[DEFAULT]``; raises ``errors.Invalid`` naming a wrong option."""
        self.given = conf
        self.conf: SimpleNamespace = confs.options(conf, {
            **COMMON, 'interval': Option(confs.number, float(self.INTERVAL), 'seconds between two runs'),
            **self.OPTIONS}, f'[{self.SECTION}]')
        self.metrics = statsd.load(conf, self.SECTION)

    def run_once(self, **limits: Any) -> None:
        """One sweep.  ``limits``: what the command line narrows it to (``devices``, ``partitions``...)."""
        raise TypeError(f'{type(self).__name__} has no run_once')

    def measured(self, counts: Mapping[str, int]) -> None:
        """Tell statsd, if anybody listens, what a sweep counted."""
        if self.metrics is not None:
            for own, name in self.METRICS.items():
                self.metrics.count(name, counts.get(own, 0))

    def close(self) -> None:
        """Give back what it holds."""


def run(daemon: type[Daemon], argv: list[str] | None = None) -> int:
    """``main`` of a daemon's command; returns the exit status."""
    args = _arguments(daemon).parse_args(argv)
    try:
        conf = confs.read(args.conf, daemon.SECTION)
        common = confs.options(conf, COMMON, args.conf)
        start(common, daemon.SECTION, verbose=args.verbose)
        one = daemon(conf)
    except (errors.Error, OSError) as error:
        sys.stderr.write(f'swift-{daemon.SECTION}: {error}\n')
        return 1
    limits = {name: confs.commas(value) for name, value in
              (('devices', args.devices), ('partitions', args.partitions), ('policies', args.policies)) if value}
    try:
        if args.once or 'once' in args.words:
            one.run_once(**limits)
            return 0
        service = Service(f'swift-{daemon.SECTION}', grace=10)
        service.add_periodic(lambda: one.run_once(**limits), one.conf.interval, daemon.SECTION)
        return service.run()
    except errors.Error as error:
        LOG.error('%s', error)
        return 1
    finally:
        one.close()


def _arguments(daemon: type[Daemon]) -> argparse.ArgumentParser:
    first = (daemon.__doc__ or '').strip().splitlines()
    parser = argparse.ArgumentParser(prog=f'swift-{daemon.SECTION}', description=first[0] if first else None)
    parser.add_argument('conf', help='the conf file, or a directory of them')
    parser.add_argument('words', nargs='*', metavar='once', help='"once": one run, then end')
    parser.add_argument('-o', '--once', action='store_true', help='one run, then end')
    parser.add_argument('-v', '--verbose', action='store_true', help='log everything, to standard error')
    parser.add_argument('-d', '--devices', help='only these devices, by commas')
    parser.add_argument('-p', '--partitions', help='only these partitions, by commas')
    parser.add_argument('-i', '--policies', help='only these storage policies (indexes), by commas')
    return parser


def start(common: SimpleNamespace, section: str, *, verbose: bool = False) -> None:
    """Set up the log, then become the configured user; raises ``errors.Invalid`` if there is none."""
    log.setup(debug=verbose or common.log_level.upper() == 'DEBUG',
              path=None if verbose else common.log_file or None)
    logging.getLogger().setLevel(logging.DEBUG if verbose else common.log_level.upper())
    become(common.user)


def become(name: str) -> None:
    """Run as this user from now on, if we are root; raises ``errors.Invalid`` if there is no such user."""
    if os.geteuid() != 0 or name in ('root', ''):
        return
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise errors.Invalid(f'user = {name}: there is no such user; create it, or name another') from None
    os.setgroups([group.gr_gid for group in grp.getgrall() if name in group.gr_mem])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ['HOME'] = user.pw_dir
    os.umask(0o022)
