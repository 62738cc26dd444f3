"""Configuration: oslo.config files and options as operators know them, injected, never global.

A service's ``conf.py`` holds ``OPTIONS``, a dict of group to option list, and
calls ``load``.  ``tools/config-reference`` prints the same dict as the
reference in doc/.
"""

import os
import sys
from collections.abc import Mapping, Sequence

from oslo_config import cfg

from strata import errors

Options = Mapping[str, Sequence[cfg.Opt]]

#: what every daemon understands
COMMON: dict[str, list[cfg.Opt]] = {
    'DEFAULT': [
        cfg.BoolOpt('debug', default=False, help='Log at DEBUG.'),
        cfg.StrOpt('log_file', help='Write the log here instead of to standard error.'),
        cfg.StrOpt('log_format', default='text', choices=['text', 'json'],
                   help='One line of text per record, or one JSON object.'),
        cfg.StrOpt('host', help='The name this host goes by in the cloud; default: its host name.'),
        cfg.StrOpt('state_path', default='/var/lib/strata', help='Where state is kept on this host.'),
        cfg.StrOpt('transport_url', default='local://', secret=True,
                   help='The message bus: rabbit://user:password@host:port/vhost, or local:// '
                        'when all workers share one process.'),
        cfg.IntOpt('graceful_shutdown_timeout', default=30, min=0,
                   help='Seconds that requests under way get when the daemon is told to stop.'),
    ],
    'database': [
        cfg.StrOpt('connection', secret=True,
                   help='SQLAlchemy URL: sqlite:///path, mysql+pymysql://..., postgresql+psycopg://...'),
        cfg.IntOpt('max_pool_size', default=20, min=1, help='Connections kept to the database.'),
        cfg.IntOpt('max_retries', default=10, min=0,
                   help='How often a transaction that met a deadlock is tried again.'),
    ],
    'oslo_policy': [
        cfg.StrOpt('policy_file', default='policy.yaml',
                   help='Overrides of the default policy, beside the first configuration file.'),
    ],
}


def load(prog: str, options: Options, argv: Sequence[str] | None = None, *,
         files: Sequence[str] | None = None, service: str | None = None,
         cli: Sequence[cfg.Opt] = (), **overrides: object) -> cfg.ConfigOpts:
    """The configuration of one daemon.

    ``argv`` defaults to the process's arguments; ``files`` to
    ``/etc/<service>/<service>.conf`` if it exists.  ``overrides`` name an option
    as ``group__option`` (or plain ``option``) and win over the files.

    Raises ``errors.Invalid`` naming the option or the file at fault.
    """
    service = service or prog.partition('-')[0]
    conf = cfg.ConfigOpts()
    for option in cli:
        conf.register_cli_opt(option)
    for groups in (COMMON, options):
        for group, opts in groups.items():
            conf.register_opts(opts, group=None if group == 'DEFAULT' else group)
    default = f'/etc/{service}/{service}.conf'
    if files is None:
        files = [default] if os.path.exists(default) else []
    try:
        conf(list(sys.argv[1:] if argv is None else argv), project=service, prog=prog,
             default_config_files=list(files), default_config_dirs=[])
        _judge(conf, options)
    except (cfg.ConfigFilesNotFoundError, cfg.ConfigFileParseError, cfg.ConfigFileValueError,
            cfg.RequiredOptError) as error:
        raise errors.Invalid(f'{prog}: {error}') from error
    for name, value in overrides.items():
        group, _, named = name.rpartition('__')
        conf.set_override(named, value, group=group or None)
    return conf


def _judge(conf: cfg.ConfigOpts, options: Options) -> None:
    """Look at every value now: oslo.config judges one when it is first read, which may be hours later."""
    for groups in (COMMON, options):
        for group, opts in groups.items():
            for option in opts:
                getattr(conf if group == 'DEFAULT' else conf[group], option.dest)


def hostname(conf: cfg.ConfigOpts) -> str:
    """The name of this host in the cloud."""
    return conf.host or os.uname().nodename


def required(conf: cfg.ConfigOpts, group: str, option: str) -> str:
    """An option that has no default; ``errors.Invalid`` names it if it is missing."""
    value = getattr(getattr(conf, group), option)
    if not value:
        raise errors.Invalid(f'[{group}] {option} is not set; see doc/configuration.')
    return value
