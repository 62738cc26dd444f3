"""The measurements, one function each; every one yields rows for the output."""

import dataclasses
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import load, processes
from benchmarks.client import Cloud, Trouble
from benchmarks.estate import Estate, estate, wait

Row = dict[str, Any]


@dataclasses.dataclass
class Bench:
    """What is measured and how much of it."""

    cloud: Cloud
    data_dir: str | None
    driver: str | None
    seconds: float
    threads: int
    servers: list[int]
    singles: int
    burst: int
    #: name or id of the image to boot from; the smallest if none is named
    image: str | None = None

    def meter(self) -> processes.Meter:
        """The CPU of the cloud's daemons, where they are known."""
        return processes.Meter(processes.daemons(self.data_dir) if self.data_dir else {})


def measured(bench: Bench, what: str, call: Callable[[], bool], **more: Any) -> Row:
    """Rate, times and CPU of one call made again and again."""
    call()
    with bench.meter() as meter:
        timing = load.for_seconds(call, bench.seconds, bench.threads)
    return {'what': what, **timing.figures(), **meter.per(len(timing.times)), **more}


# -- identity ------------------------------------------------------------------------------------

def issue(bench: Bench) -> Iterator[Row]:
    """Tokens by password (argon2 is nearly all of it), and from a token."""
    cloud, url = bench.cloud, f'{bench.cloud.auth_url}/auth/tokens'
    kind = {'Content-Type': 'application/json'}

    def by(body: bytes) -> Callable[[], bool]:
        return lambda: cloud.connections.send('POST', url, body, kind)[0] == 201
    yield measured(bench, 'token issue, by password', by(cloud.credentials.body()))
    yield measured(bench, 'token issue, from a token', by(_by_token(cloud)))


def _by_token(cloud: Cloud) -> bytes:
    return (b'{"auth": {"identity": {"methods": ["token"], "token": {"id": "%s"}}, '
            b'"scope": {"project": {"id": "%s"}}}}' % (cloud.token.encode(), cloud.project_id.encode()))


def validate(bench: Bench) -> Iterator[Row]:
    """Validation of one token again and again, as services do, and of tokens never seen before."""
    cloud, url = bench.cloud, f'{bench.cloud.auth_url}/auth/tokens'

    def check(subject: str) -> bool:
        return cloud.connections.send('GET', url, None, {'X-Auth-Token': cloud.token,
                                                         'X-Subject-Token': subject})[0] == 200
    yield measured(bench, 'token validate', lambda: check(cloud.token), goal='cpu_ms < 0.5')
    fresh = [_fresh(cloud) for _ in range(200)]
    with bench.meter() as meter:
        timing = load.each([lambda token=token: check(token) for token in fresh], bench.threads)
    yield {'what': 'token validate, first time', **timing.figures(), **meter.per(len(fresh))}


def _fresh(cloud: Cloud) -> str:
    status, headers, _ = cloud.connections.send('POST', f'{cloud.auth_url}/auth/tokens', _by_token(cloud),
                                                {'Content-Type': 'application/json'})
    if status != 201:
        raise Trouble(f'A token from a token was refused with {status}.')
    return str(headers['X-Subject-Token'])


# -- compute -------------------------------------------------------------------------------------

def active(bench: Bench) -> Iterator[Row]:
    """From POST to ACTIVE, one after another, then a burst."""
    with estate(bench.cloud, bench.image) as made:
        yield _one_by_one(bench, made)
        made.clear()
        yield _burst(bench, made)


def _one_by_one(bench: Bench, made: Estate) -> Row:
    def one() -> bool:
        made.wait_active(made.post(made.name), 300, 0.01)
        return True
    one()
    with bench.meter() as meter:
        timing = load.each([one] * bench.singles, threads=1)
    figures = timing.figures()
    return {'what': 'server, POST to ACTIVE', **figures, **meter.per(bench.singles), 'goal': 'p50_ms < 150'}


def _burst(bench: Bench, made: Estate) -> Row:
    name = f'{made.name}-burst'
    begun = time.perf_counter()
    with bench.meter() as meter:
        posted = load.each([lambda: bool(made.post(name))] * bench.burst, threads=min(bench.burst, 16))
        made.wait_all(name, bench.burst, 600)
    return {'what': f'servers, a burst of {bench.burst} to ACTIVE', 'requests': bench.burst,
            'seconds': round(time.perf_counter() - begun, 3), 'posted_s': round(posted.elapsed, 3),
            **meter.per(bench.burst), 'goal': 'seconds < 3'}


def detail(bench: Bench) -> Iterator[Row]:
    """A page with all of 100 and of 1,000 servers."""
    with estate(bench.cloud, bench.image) as made:
        for wanted in sorted(bench.servers):
            with bench.meter() as meter:
                timing = made.fill(wanted, 900)
            if timing.times:
                yield {'what': f'servers, POST until there are {wanted}', **timing.figures(),
                       **meter.per(len(timing.times))}
            url, headers = made.cloud.url('compute', f'/servers/detail?limit={wanted}'), made.cloud.headers()

            def page(url: str = url, headers: dict[str, str] = headers) -> bool:
                return made.cloud.connections.send('GET', url, None, headers)[0] == 200
            yield measured(dataclasses.replace(bench, threads=1), f'GET /servers/detail, {wanted} servers', page,
                           **({'goal': 'p50_ms < 400'} if wanted == 1000 else {}))
        begun = time.perf_counter()
        with bench.meter() as meter:
            made.clear()
        wanted = max(bench.servers)
        yield {'what': f'servers, DELETE of {wanted} until gone', 'requests': wanted,
               'seconds': round(time.perf_counter() - begun, 3), **meter.per(wanted)}


def guest(bench: Bench) -> Iterator[Row]:
    """From POST to ACTIVE and to the greeting of the guest's SSH server, on a real hypervisor."""
    with estate(bench.cloud, bench.image, external=True) as made:
        actives, greetings = [], []
        for _ in range(bench.singles):
            seconds, address = _boot(made)
            actives.append(seconds[0])
            greetings.append(seconds[1])
            made.clear()
            made.cloud.call('DELETE', 'network', f'/floatingips/{address}', ok=(404,))
        for what, times in (('guest, POST to ACTIVE', actives), ('guest, POST to SSH', greetings)):
            yield {'what': what, **load.Timing(times, sum(times)).figures()}


def _boot(made: Estate) -> tuple[tuple[float, float], str]:
    """Seconds to ACTIVE and to SSH; the port and its floating IP are made before, and the IP's id returned."""
    assert made.public is not None
    port = made.cloud.call('POST', 'network', '/ports', {'port': {'network_id': made.network['id'],
                                                                  'name': made.name}})['port']
    address = made.cloud.call('POST', 'network', '/floatingips', {'floatingip': {
        'floating_network_id': made.public['id'], 'port_id': port['id']}})['floatingip']
    begun = time.perf_counter()
    made.wait_active(made.post(made.name, port['id']), 600, 0.05)
    ready = time.perf_counter() - begun
    wait('the SSH server', lambda: greeted(address['floating_ip_address']), 600, 0.1)
    greeting = time.perf_counter() - begun
    return (ready, greeting), str(address['id'])


def greeted(address: str, port: int = 22) -> bool:
    """Whether an SSH server greets at an address."""
    try:
        with socket.create_connection((address, port), timeout=2) as connection:
            connection.settimeout(5)
            return connection.recv(4) == b'SSH-'
    except OSError:
        return False


# -- the cloud itself ----------------------------------------------------------------------------

def memory(bench: Bench) -> Iterator[Row]:
    """Proportional set size of every process."""
    if not bench.data_dir:
        raise Trouble('The memory of a cloud is known only if it is one of onestack\'s, named by --data-dir.')
    sizes = processes.memory(bench.data_dir)
    for name, size in sizes.items():
        yield {'what': f'memory of {name.partition("/")[0]}', 'pid': int(name.partition('/')[2]), 'pss_mb': size}
    yield {'what': 'memory of all processes', 'pss_mb': round(sum(sizes.values()), 1), 'goal': 'pss_mb < 350'}


def start(data_dir: str, urls: dict[str, str], options: list[str]) -> Row:
    """Stop the cloud, start it again, and see how long every API takes to answer."""
    tool = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), 'onestack')
    subprocess.run([tool, 'down', '--data-dir', data_dir], check=True, stdout=subprocess.DEVNULL)
    begun = time.perf_counter()
    with subprocess.Popen([tool, 'up', '--data-dir', data_dir, *options], stdout=subprocess.DEVNULL) as up:
        took = {}
        while len(took) < len(urls) and time.perf_counter() - begun < 300 and up.poll() in (None, 0):
            for name in urls.keys() - took.keys():
                if answers(urls[name]):
                    took[name] = round(time.perf_counter() - begun, 2)
            time.sleep(0.02)
        if up.wait():
            raise Trouble('"onestack up" failed; see "onestack logs".')
        whole = round(time.perf_counter() - begun, 2)
    return {'what': 'onestack up again, all APIs answer', 'seconds': max(took.values()), 'by_api_s': took,
            'whole_command_s': whole, 'goal': 'seconds < 5'}


def answers(url: str) -> bool:
    """Whether an API's health check says yes."""
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except OSError:
        return False


#: what can be asked for by name, in the order it is done
CASES = {'issue': issue, 'validate': validate, 'active': active, 'detail': detail, 'guest': guest, 'memory': memory}
