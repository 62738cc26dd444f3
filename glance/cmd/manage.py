"""``glance-manage``: what an operator does beside the API.

::

    glance-manage db sync | db version | db sweep

The older spelling ``db_sync`` means the same.
"""

from strata import green

green.patch()

import argparse
import sys
from collections.abc import Sequence

from glance import sweep
from glance.cmd import wire
from glance.conf import OPTIONS
from strata import conf as configuration
from strata import errors, log, migrate


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog='glance-manage', description='Manage the image service.')
    top.add_argument('--config-file', action='append', metavar='PATH', help='a configuration file')
    nouns = top.add_subparsers(dest='noun', required=True, metavar='COMMAND')
    verbs = nouns.add_parser('db', help='the database').add_subparsers(dest='verb', required=True)
    verbs.add_parser('sync', help='bring the schema up to date')
    verbs.add_parser('version', help='print the version of the schema')
    verbs.add_parser('sweep', help='give up dead uploads and remove doomed data now')
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command; returns the exit status."""
    words = [part for word in (sys.argv[1:] if argv is None else argv)
             for part in (word.split('_', 1) if word.startswith('db_') else [word])]
    asked = parser().parse_args(words)
    try:
        conf = configuration.load('glance-manage', OPTIONS, [], files=asked.config_file)
        log.setup(debug=conf.debug, path=conf.log_file, form=conf.log_format)
        if asked.verb == 'sweep':
            print(f'{sweep.run_once(wire.api(conf))} blobs removed')
        elif asked.verb == 'sync':
            migrate.upgrade(wire.database(conf), wire.MIGRATIONS)
        else:
            print(migrate.current(wire.database(conf)) or 'empty')
    except errors.Error as error:
        print(f'glance-manage: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
