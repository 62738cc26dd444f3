"""What the user is told: the summary of ``up``, status, logs."""

import dataclasses
import datetime
import json
import os
import subprocess
import time
from collections import deque

from launcher import clientfiles, host
from launcher.cloud import Cloud
from launcher.progress import Progress
from launcher.settings import Settings, Trouble

DAEMONS = ('onestack', 'keystone', 'glance', 'nova', 'swift', 'swift-sweeps', 'net-helper')


@dataclasses.dataclass(frozen=True)
class First:
    """The first server: its name, floating IP, and the private key that opens it."""

    name: str
    address: str
    key: str


def summary(settings: Settings, files: clientfiles.Written, server: First | None, progress: Progress) -> None:
    """How to use what is up now."""
    print(f'\nThe cloud is up ({progress.total:.1f} s).\n')
    for name, service, path in (('identity', 'identity', '/v3'), ('image', 'image', ''),
                                ('compute', 'compute', '/v2.1'), ('network', 'network', ''),
                                ('object-store', 'object-store', '/v1')):
        print(f'  {name:12} {settings.url(service, path)}')
    rc = os.path.basename(files.openrc)
    print(f'\n  clouds.yaml  {files.clouds}   (clouds {files.member} and {files.admin})')
    print(f'  openrc       {files.openrc}   (". {rc}" or ". {rc} admin")')
    print(f'\n  try          openstack --os-cloud {files.member} server list')
    if server and settings.fake:
        print(f'  server       {server.name}, floating IP {server.address} (the fake driver: nothing listens there)')
    elif server:
        print(f'  log in       ssh -i {server.key} -o StrictHostKeyChecking=no debian@{server.address}')
    slow = sorted(progress.took, key=lambda step: -step[1])[:4]
    print('\n  longest      ' + ', '.join(f'{name.lower()} {seconds:.1f} s' for name, seconds in slow))


def memory(pid: int) -> int:
    """The proportional set size of a process in KiB; 0 if it may not be read."""
    try:
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
            return next(int(line.split()[1]) for line in file if line.startswith('Pss:'))
    except (OSError, StopIteration):
        return 0


def processes(settings: Settings) -> bool:
    """Print a line per process; whether any runs."""
    if not host.parent_pid(settings):
        return False
    with open(settings.path('run', 'processes.json'), encoding='utf-8') as file:
        state = json.load(file)
    total = memory(state['parent'])
    print(f'{"PROCESS":12} {"STATE":10} {"PID":>7} {"MEMORY":>9} {"UPTIME":>10} {"RESTARTS":>8}  LAST ERROR')
    print(f'{"onestack":12} {"running":10} {state["parent"]:>7} {total / 1024:>6.0f} MB {"":>10} {"":>8}')
    for one in state['processes']:
        alive = one['pid'] and os.path.exists(f'/proc/{one["pid"]}')
        used = memory(one['pid']) if alive else 0
        total += used
        uptime = str(datetime.timedelta(seconds=int(time.time() - one['started']))) if alive else '-'
        error = one['last_exit'] or last_error(settings, one['name'])
        print(f'{one["name"]:12} {"running" if alive else "starting":10} {one["pid"] or "-":>7} '
              f'{used / 1024:>6.0f} MB {uptime:>10} {one["restarts"]:>8}  {error}')
    print(f'{"all":12} {"":10} {"":>7} {total / 1024:>6.0f} MB')
    return True


def last_error(settings: Settings, name: str) -> str:
    """The last line of a daemon's log that is an error, shortened."""
    try:
        with open(settings.path('log', f'{name}.log'), encoding='utf-8', errors='replace') as file:
            found = deque((line for line in file if ' ERROR ' in line), maxlen=1)
    except OSError:
        return ''
    return found[0].strip()[:100] if found else ''


def servers(cloud: Cloud) -> None:
    """Print a line per server of every project."""
    found = cloud.get('compute', '/v2.1/servers/detail', all_tenants='true')['servers']
    print(f'\n{"SERVER":20} {"STATUS":10} {"HOST":16} ADDRESSES')
    for server in found:
        addresses = ', '.join(one['addr'] for many in server['addresses'].values() for one in many)
        fault = f'  {server["fault"]["message"]}' if server.get('fault') else ''
        print(f'{server["name"][:20]:20} {server["status"]:10} {server.get("OS-EXT-SRV-ATTR:host") or "-":16} '
              f'{addresses}{fault}')


def logs(settings: Settings, daemon: str | None, lines: int, follow: bool) -> None:
    """Show logs by ``tail``, which follows files better than we would."""
    if daemon is not None and daemon not in DAEMONS:
        raise Trouble(f'there is no daemon {daemon}.', f'one of {", ".join(DAEMONS)}.')
    paths = [settings.path('log', f'{name}.log') for name in ([daemon] if daemon else DAEMONS)]
    there = [path for path in paths if os.path.exists(path)]
    if not there:
        raise Trouble('there are no logs yet.', '"onestack up" starts the daemons.')
    subprocess.run(['tail', '-n', str(lines), *(['-F'] if follow else []), *there], check=False)
