"""``tools/bench swift``: an object store's requests, on any Swift, or on ours and another release side by side."""

import argparse
import dataclasses
import http.client
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import pair, processes, wire, yardstick
from benchmarks.client import Trouble

Row = dict[str, Any]
SIZES = {'1 KiB': 1024, '64 KiB': 65536}
CONNECTIONS = (1, 32)
CASES = ('small', 'large', 'listing', 'ring')


@dataclasses.dataclass
class Store:
    """One object store under test."""

    name: str
    url: str                                    # storage URL: http://host:port/v1/AUTH_x
    token: str
    pids: Callable[[], dict[str, int]] = dict   # its processes, where they are known
    python: str | None = None                   # of its swift-ring-builder

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urllib.parse.urlsplit(self.url)
        return str(parts.hostname), parts.port or 80

    @property
    def path(self) -> str:
        """The path of the account."""
        return urllib.parse.urlsplit(self.url).path

    def request(self, method: str, name: str, body: bytes | None = None) -> bytes:
        """The bytes of a request; ``name`` is below the account."""
        host = '{}:{}'.format(*self.address)
        length = '' if body is None else f'Content-Length: {len(body)}\r\nContent-Type: application/octet-stream\r\n'
        return (f'{method} {self.path}/{name} HTTP/1.1\r\nHost: {host}\r\nX-Auth-Token: {self.token}\r\n'
                f'{length}\r\n').encode('ascii') + (body or b'')

    def one(self, method: str, name: str, body: bytes | None = None) -> None:
        """Send one request; raises ``Trouble`` unless it succeeds."""
        timing = wire.run(self.address, iter([self.request(method, name, body)]), 1, 1)
        if timing.failures:
            raise Trouble(f'{self.name}: {method} {name} failed')


def small(store: Store, options: argparse.Namespace) -> Iterator[Row]:
    """PUT, GET, HEAD and DELETE of small objects, alone and 32 at once."""
    store.one('PUT', 'bench')
    for title, size in SIZES.items():
        body = bytes(size)
        for count in CONNECTIONS:
            prefix = f'bench/{size}-{count}-{time.time_ns()}-'
            put = measured(store, f'PUT {title}, {count} at once', count, options.seconds,
                           (store.request('PUT', f'{prefix}{number}', body) for number in itertools.count()))
            yield put
            names = [f'{prefix}{number}' for number in range(put['requests'])]
            for method in ('GET', 'HEAD'):
                yield measured(store, f'{method} {title}, {count} at once', count, options.seconds,
                               (store.request(method, name) for name in itertools.cycle(names)))
            yield measured(store, f'DELETE {title}, {count} at once', count, options.seconds,
                           (store.request('DELETE', name) for name in names))


def large(store: Store, options: argparse.Namespace) -> Iterator[Row]:
    """PUT and GET of one large object."""
    store.one('PUT', 'bench')
    # of the two GETs the second counts: its connections are there.  It may read another replica, and both stores
    # drop large objects from the page cache after use (keep_cache_size), so it usually comes from the disk
    for method, counts in (('PUT', True), ('GET', False), ('GET', True)):
        row = transferred(store.name, store.address, method, f'{store.path}/bench/large',
                          {'X-Auth-Token': store.token}, options.megabytes, store.pids())
        if counts:
            yield row
    store.one('DELETE', 'bench/large')


def transferred(name: str, address: tuple[str, int], method: str, path: str, headers: dict[str, str],
                megabytes: int, pids: dict[str, int]) -> Row:
    """A row of one large PUT or GET; raises ``Trouble`` unless all of it went through."""
    piece = bytes(1 << 20)
    with processes.Meter(pids) as meter:
        begun = time.perf_counter()
        connection = http.client.HTTPConnection(*address, timeout=300)
        connection.putrequest(method, path)
        for key, value in headers.items():
            connection.putheader(key, value)
        if method == 'PUT':
            connection.putheader('Content-Length', str(megabytes << 20))
        connection.endheaders()
        for _ in range(megabytes if method == 'PUT' else 0):
            connection.send(piece)
        answer = connection.getresponse()
        buffer, received = bytearray(1 << 20), 0
        while size := answer.readinto(buffer):
            received += size
        elapsed = time.perf_counter() - begun
        connection.close()
    if answer.status // 100 != 2 or (method == 'GET' and received != megabytes << 20):
        raise Trouble(f'{name}: {method} of {megabytes} MiB: {answer.status}, {received} bytes')
    return {'what': f'{method} {megabytes} MiB', 'requests': 1, 'seconds': round(elapsed, 2),
            'mb_per_second': round(megabytes / elapsed, 1), **meter.per(1)}


def listing(store: Store, options: argparse.Namespace) -> Iterator[Row]:
    """GET of a container's listing."""
    name, count = f'bench-listing-{options.objects}', options.objects
    store.one('PUT', name)
    wanted = (store.request('PUT', f'{name}/object-{number:06d}', b'') for number in range(count))
    timing = wire.run(store.address, wanted, 16, 3600)
    if timing.failures:
        raise Trouble(f'{store.name}: {timing.failures} objects for the listing could not be written')
    for query, title in (('format=json', 'JSON'), ('', 'text')):
        yield measured(store, f'listing of {count} objects, {title}', 1, options.seconds,
                       (store.request('GET', f'{name}?{query}') for _ in itertools.count()))


def ring(store: Store, options: argparse.Namespace) -> Iterator[Row]:
    """A ring of 1,000 devices at part power 18: created, rebalanced, written."""
    if store.python is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/object.builder'
        builder = [store.python, *pair.ring_builder(store.name), path]
        devices = [word for number in range(1000) for word in
                   (f'r1z{number % 10}-10.0.{number // 20}.{number % 20 + 1}:6200/sd{number}', '100')]
        # each finds its own package, wherever this is run from
        ours = {'PYTHONPATH': str(pair.ROOT)} if store.name == 'ours' else {}
        where: dict[str, Any] = {'cwd': folder, 'stdout': subprocess.DEVNULL, 'env': {**os.environ, **ours}}
        for words in (['create', '18', '3', '1'], ['add', *devices]):
            subprocess.run([*builder, *words], check=True, **where)
        begun, before = time.perf_counter(), _children()
        subprocess.run([*builder, 'rebalance', '--seed', '1'], check=False, **where)
        yield {'what': 'ring, 1,000 devices, part power 18', 'requests': 1,
               'seconds': round(time.perf_counter() - begun, 2), 'cpu_ms': round((_children() - before) * 1000)}


def _children() -> float:
    import resource
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(store: Store, what: str, connections: int, seconds: float, requests: Iterator[bytes]) -> Row:
    """A row of one kind of request."""
    with processes.Meter(store.pids()) as meter:
        timing = wire.run(store.address, requests, connections, seconds)
    if timing.failures:
        raise Trouble(f'{store.name}: {what}: {timing.failures} of {len(timing.times)} requests failed')
    return {'what': what, **timing.figures(), **meter.per(len(timing.times))}


def parser() -> argparse.ArgumentParser:
    """What may be said."""
    top = argparse.ArgumentParser(
        prog='tools/bench swift', description='Measure an object store. Prints a JSON object per measurement, then '
                                              'a table.')
    top.add_argument('cases', nargs='*', metavar='CASE', help=f'{", ".join(CASES)}; default: all')
    top.add_argument('--url', help='storage URL with --token, or TempAuth URL (http://host:8080/auth/v1.0) with '
                                   '--user and --key')
    top.add_argument('--token')
    top.add_argument('--user', default='test:tester')
    top.add_argument('--key', default='testing')
    top.add_argument('--beside', metavar='VENV', help='start our store and the Swift of this virtualenv, three '
                                                      'replicas on four devices each, and measure both')
    top.add_argument('--scratch', help="directory for the stores' devices; its file system needs extended attributes")
    top.add_argument('--only', choices=pair.NAMES, help='with --beside: measure just one of them')
    top.add_argument('--seconds', type=float, default=5, help='how long each request is repeated (%(default)s)')
    top.add_argument('--megabytes', type=int, default=256, help='size of the large object in MiB (%(default)s)')
    top.add_argument('--objects', type=int, default=10000, help='objects in the listing (%(default)s)')
    return top


def main(argv: list[str]) -> int:
    """Measure; the exit status is 1 if something could not be measured."""
    options = parser().parse_args(argv)
    try:
        unknown = set(options.cases) - set(CASES)
        if unknown:
            raise Trouble(f'There is no case {", ".join(sorted(unknown))}; there are {", ".join(CASES)}.')
        if options.beside:
            with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
                return _beside(options, Path(folder))
        if not options.url:
            raise Trouble('Give --url, or --beside.')
        _show([{'': options.url, **row} for row in _measure(_login(options), options)])
    except (Trouble, OSError) as error:
        print(f'tools/bench: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _login(options: argparse.Namespace) -> Store:
    if options.token:
        return Store('swift', options.url.rstrip('/'), options.token)
    url, token = pair.login(options.url, options.user, options.key)
    return Store('swift', url, token)


def _measure(store: Store, options: argparse.Namespace) -> Iterator[Row]:
    for case in options.cases or CASES:
        for row in globals()[case](store, options):
            print(json.dumps({'store': store.name, **row}), flush=True)
            yield row


def _beside(options: argparse.Namespace, folder: Path) -> int:
    rows: dict[str, dict[str, Row]] = {}
    for name in [options.only] if options.only else pair.NAMES:
        with pair.Cluster(name, folder / name, options.beside) as cluster:
            url, token = cluster.login()
            store = Store(name, url, token, cluster.pids, cluster.python)
            for row in _measure(store, options):
                rows.setdefault(row['what'], {})[name] = row
    _compare(rows)
    if 'large' in (options.cases or CASES):
        _hold_against(rows, options, folder)
    return 0


def _hold_against(rows: dict[str, dict[str, Row]], options: argparse.Namespace, folder: Path) -> None:
    """The large GET beside that of the same bytes from nginx, out of the page cache and from the disk."""
    if not yardstick.is_there():
        print('nginx is not installed, so the large GET is held against nothing.')
        return
    with yardstick.Nginx(folder / 'nginx', options.megabytes) as server:
        for place in ('the page cache', 'the disk'):
            for _ in range(3):
                if place == 'the disk':
                    server.forget()
                row = transferred('nginx', ('127.0.0.1', server.port), 'GET', '/large', {}, options.megabytes,
                                  server.pids())
            print(json.dumps({'store': f'nginx, from {place}', **row}), flush=True)
            best = row['mb_per_second']
            shares = ', '.join(f'{name} {found["mb_per_second"] / best:.0%}'
                               for name, found in rows[row['what']].items())
            print(f'nginx, {row["what"]} from {place}: {best} MB/s, CPU {row.get("cpu_ms", "")} ms; of that {shares}')


def _compare(rows: dict[str, dict[str, Row]]) -> None:
    print(f'\n{"":38}' + ''.join(f'{name + " " + what:>16}' for what in ('/s', 'p50 ms', 'CPU ms')
                                 for name in pair.NAMES) + f'{"times /s":>10}{"times CPU":>11}')
    for what, found in rows.items():
        cells = []
        for figure in ('rate', 'p50_ms', 'cpu_ms'):
            for name in pair.NAMES:
                cells.append(f'{_figure(found.get(name, {}), figure)!s:>16}')
        ours, theirs = (found.get(name, {}) for name in pair.NAMES)
        print(f'{what:38}' + ''.join(cells) + f'{_times(_figure(ours, "rate"), _figure(theirs, "rate")):>10}'
              f'{_times(_figure(theirs, "cpu_ms"), _figure(ours, "cpu_ms")):>11}')


def _figure(row: Row, figure: str) -> Any:
    if figure != 'rate':
        return row.get(figure, '')
    if 'mb_per_second' in row:
        return row['mb_per_second']
    return row.get('per_second') or (round(1 / row['seconds'], 3) if row.get('seconds') else '')


def _times(one: Any, other: Any) -> str:
    return f'{one / other:.1f}' if one and other else ''


def _show(rows: list[Row]) -> None:
    print()
    for row in rows:
        print(f'{row["what"]:38}{_figure(row, "rate"):>12}{row.get("p50_ms", ""):>10}{row.get("p95_ms", ""):>10}'
              f'{row.get("seconds", ""):>10}')
