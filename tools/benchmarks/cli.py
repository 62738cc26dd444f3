"""The command line of ``tools/bench``: which cloud, which measurements, and how they are shown."""

import argparse
import json
import os
import sys
from collections.abc import Iterator

from benchmarks import cases, swift
from benchmarks.cases import CASES, Bench, Row
from benchmarks.client import Cloud, Credentials, Trouble

PORTS = ('identity', 'registry', 'image', 'compute', 'network', 'metadata', 'object-store', 'object', 'container',
         'account')
USUAL = {'identity': 5000, 'image': 9292, 'compute': 8774, 'network': 9696, 'object-store': 8080}
#: columns of the table and how wide they are
COLUMNS = (('what', 38), ('requests', 9), ('per_second', 11), ('p50_ms', 9), ('p95_ms', 9), ('cpu_ms', 8),
           ('seconds', 8), ('pss_mb', 7), ('goal', 16))


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    top = argparse.ArgumentParser(
        prog='tools/bench', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Measure a cloud. Prints a JSON object per measurement as it is made, then a table.\n'
                    'CPU per request is that of the daemons and is known for a cloud of onestack only; it is the\n'
                    'figure that stays true on a busy machine.',
        epilog='"tools/bench swift" measures an object store: see its --help.\n\n'
               'cases: ' + '; '.join(f'{name}: {case.__doc__}' for name, case in CASES.items()))
    top.add_argument('cases', nargs='*', metavar='CASE', help=f'{", ".join(CASES)}; default: all that fit the cloud')
    top.add_argument('--data-dir', help="a cloud of onestack's; default: the one of this user")
    top.add_argument('--url', help='any OpenStack: its identity URL; OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME and '
                                   'their kin say who measures')
    top.add_argument('--up', action='store_true', help='first stop the cloud and time "onestack up"')
    top.add_argument('--seconds', type=float, default=5, help='how long each request is repeated (%(default)s)')
    top.add_argument('--threads', type=int, default=4, help='connections that repeat it (%(default)s)')
    top.add_argument('--servers', type=lambda text: [int(one) for one in text.split(',')],
                     help='lists of so many servers (100,1000); needs as much room on the hosts')
    top.add_argument('--singles', type=int, help='servers booted one after another (20; 3 on a real hypervisor)')
    top.add_argument('--image', help='name or id of the image that servers boot from; default: the smallest')
    top.add_argument('--burst', type=int, default=50, help='servers booted at once (%(default)s)')
    return top


def main(argv: list[str] | None = None) -> int:
    """Measure; the exit status is 1 if something could not be measured."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ['swift']:
        return swift.main(words[1:])
    options = parser().parse_args(argv)
    rows: list[Row] = []
    try:
        for row in measure(options):
            rows.append(row)
            print(json.dumps(row), flush=True)
    except (Trouble, OSError) as error:
        print(f'tools/bench: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        print(table(rows), end='')
    return 0


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Every row that was asked for."""
    unknown = set(options.cases) - set(CASES)
    if unknown:
        raise Trouble(f'There is no case {", ".join(sorted(unknown))}; there are {", ".join(CASES)}.')
    if options.url:
        bench = _bench(options, Cloud(Credentials.of_environment(options.url)).login(), None, None)
    else:
        data_dir = os.path.abspath(options.data_dir or default_data_dir())
        settings = _settings(data_dir)
        if options.up:
            yield cases.start(data_dir, urls(settings), [] if settings.get('server', True) else ['--no-server'])
        cloud = Cloud(Credentials(f'http://127.0.0.1:{port(settings, "identity")}/v3', 'admin',
                                  settings['secrets']['admin'], 'admin', region='RegionOne'))
        bench = _bench(options, cloud.login(), data_dir, settings['driver'])
    for name in options.cases or _fitting(bench):
        yield from CASES[name](bench)


def _bench(options: argparse.Namespace, cloud: Cloud, data_dir: str | None, driver: str | None) -> Bench:
    singles = options.singles or (20 if driver == 'fake' else 3)
    return Bench(cloud, data_dir, driver, options.seconds, options.threads, options.servers or [100, 1000],
                 singles, options.burst, options.image)


def _fitting(bench: Bench) -> list[str]:
    """All cases on the fake driver; elsewhere none that boots servers by the hundred."""
    heavy = {'fake': {'guest'}, 'libvirt': {'active', 'detail'}}.get(bench.driver or '', {'active', 'detail', 'guest'})
    return [name for name in CASES if name not in heavy and (name != 'memory' or bench.data_dir)]


def default_data_dir() -> str:
    """As onestack chooses it."""
    if os.geteuid() == 0:
        return '/var/lib/onestack'
    share = os.environ.get('XDG_DATA_HOME') or os.path.expanduser('~/.local/share')
    return os.path.join(share, 'onestack')


def _settings(data_dir: str) -> dict[str, object]:
    try:
        with open(os.path.join(data_dir, 'settings.json'), encoding='utf-8') as file:
            found: dict[str, object] = json.load(file)
            return found
    except FileNotFoundError as error:
        raise Trouble(f'There is no cloud in {data_dir}; give --data-dir or --url.') from error


def port(settings: dict[str, object], service: str) -> int:
    """The port of one of onestack's services."""
    base = settings.get('port_base')
    return USUAL[service] if base is None else int(str(base)) + PORTS.index(service)


def urls(settings: dict[str, object]) -> dict[str, str]:
    """The health check of each API."""
    return {name: f'http://127.0.0.1:{port(settings, name)}/healthcheck' for name in USUAL}


def table(rows: list[Row]) -> str:
    """The rows as a table of the columns that any of them has."""
    columns = [(name, width) for name, width in COLUMNS if any(name in row for row in rows)]
    lines = [''.join(_cell(name, name.replace('_', ' '), width) for name, width in columns)] if rows else []
    for row in rows:
        shown = {**row, 'goal': _goal(row)}
        lines.append(''.join(_cell(name, shown.get(name, ''), width) for name, width in columns))
    return '\n'.join(['', *lines, '']) if rows else ''


def _cell(name: str, value: object, width: int) -> str:
    return f'{value!s:{width}.{width}} ' if name in ('what', 'goal') else f'{value!s:>{width}} '


def _goal(row: Row) -> str:
    """What was aimed at, and whether it was met."""
    if 'goal' not in row:
        return ''
    figure, _, bound = str(row['goal']).split()
    met = figure not in row or float(row[figure]) < float(bound)
    return f'{"met" if met else "MISSED"}: < {bound}' if figure in row else str(row['goal'])
