"""nova-manage: what an operator does to nova itself, without its API."""

from strata import green

green.patch()

import sys  # noqa: E402

from oslo_config import cfg  # noqa: E402

from nova import conf as options  # noqa: E402
from nova.cmd import parts, purge  # noqa: E402
from nova.db import services  # noqa: E402
from strata import conf as configuration  # noqa: E402
from strata import errors, migrate  # noqa: E402
from strata.db import Database  # noqa: E402

USAGE = """usage: nova-manage [--config-file FILE] COMMAND

commands:
  db sync          bring the database to the newest schema (also: db_sync)
  db version       print the schema the database is at
  db purge --all | --before DATE  remove the rows of deleted servers; --help says more
  db archive_deleted_rows --purge ...   the same, so many at a time
  service list     the daemons and when they were last heard of
  service disable HOST [REASON]   give a compute host no more servers
  service enable HOST             give it servers again"""


def _database(conf: cfg.ConfigOpts) -> Database:
    return Database(configuration.required(conf, 'database', 'connection'), retries=conf.database.max_retries)


def sync(conf: cfg.ConfigOpts) -> None:
    """Bring the database to the newest schema."""
    migrate.upgrade(_database(conf), parts.MIGRATIONS)


def version(conf: cfg.ConfigOpts) -> None:
    """Print the schema's revision."""
    print(migrate.current(_database(conf)) or 'empty')


def list_services(conf: cfg.ConfigOpts) -> None:
    """Print the daemons, a line each."""
    database = _database(conf)
    with database.reading() as tx:
        now = database.now(tx)
        for service in services.every(tx):
            state = 'up' if service.is_up(now, conf.service_down_time) else 'down'
            print(f'{service.binary:16} {service.host:32} {service.availability_zone:12} '
                  f'{"disabled" if service.disabled else "enabled":9} {state:5} {service.seen_at}')


def _able(conf: cfg.ConfigOpts, host: str, disabled: bool, reason: str | None) -> None:
    with _database(conf).transaction() as tx:
        found = services.every(tx, binary='nova-compute', host=host)
        if not found:
            raise errors.NotFound(kind='Compute host', id=host)
        found[0].disabled, found[0].disabled_reason = disabled, reason


def main(argv: list[str] | None = None) -> int:
    """The console script."""
    words = list(sys.argv[1:] if argv is None else argv)
    files = [words.pop(1) for _ in range(1) if words[:1] == ['--config-file'] and len(words) > 1]
    words = words[1:] if files else words
    try:
        return _run(options.load('nova-manage', [], files=files or None), words)
    except errors.Error as error:
        print(f'nova-manage: {error}', file=sys.stderr)
        return 1


def _run(conf: cfg.ConfigOpts, words: list[str]) -> int:
    match words:
        case ['db', 'sync'] | ['db_sync'] | ['api_db', 'sync']:
            sync(conf)
        case ['db', 'version']:
            version(conf)
        case ['db', 'purge' | 'archive_deleted_rows' as verb, *more]:
            return purge.command(_database(conf), verb, more)
        case ['service', 'list']:
            list_services(conf)
        case ['service', 'disable', host, *reason]:
            _able(conf, host, True, ' '.join(reason) or None)
        case ['service', 'enable', host]:
            _able(conf, host, False, None)
        case ['--help'] | ['-h'] | ['help']:
            print(USAGE)
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
