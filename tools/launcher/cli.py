"""The commands of onestack: up, status, logs, down, reset."""

import argparse
import contextlib
import fcntl
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator

from launcher import clientfiles, configs, host, provision, report, story
from launcher.cloud import Cloud, Refused, answers, wait
from launcher.progress import Progress
from launcher.settings import Person, Settings, Trouble, default_data_dir, load, person, settle

APIS = ('identity', 'image', 'compute', 'network', 'object-store')


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    top = argparse.ArgumentParser(prog='onestack', description='A whole OpenStack-compatible cloud on this host.')
    commands = top.add_subparsers(dest='command', required=True, metavar='COMMAND')

    def command(name: str, about: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=about, description=about)
        one.add_argument('--data-dir', default=default_data_dir(), help='where state is kept (%(default)s)')
        return one
    up = command('up', 'Start the cloud, install what is missing, boot a first server. Safe to repeat.')
    up.add_argument('--port-base', type=int, metavar='N', help='put the APIs on a row of ports from N')
    up.add_argument('--driver', choices=['libvirt', 'fake'],
                    help='libvirt: real machines, needs root; fake: the whole API without any')
    up.add_argument('--image-store', choices=['file', 'swift'],
                    help='where images are kept from now on: in files, or in the object store')
    up.add_argument('--no-server', action='store_true', help='do not boot a first server')
    command('status', 'A line per process and per server.')
    logs = command('logs', 'What the daemons have to say.')
    logs.add_argument('daemon', nargs='?', help='one of them (glance, swift-sweeps ...); default: all')
    logs.add_argument('-f', '--follow', action='store_true', help='go on as more is written')
    logs.add_argument('-n', '--lines', type=int, default=20, help='lines of each to begin with (%(default)s)')
    command('down', 'Shut servers down and stop the cloud; everything is kept.')
    reset = command('reset', 'Remove the cloud and give back all it made on this host.')
    reset.add_argument('--yes', action='store_true', help='really: servers, images and networks are lost')
    return top


def main(argv: list[str] | None = None) -> int:
    """Run a command; failures are one line on standard error."""
    options = parser().parse_args(argv)
    options.data_dir = os.path.abspath(options.data_dir)
    try:
        return COMMANDS[options.command](options)
    except Trouble as trouble:
        print(f'onestack: {trouble}', file=sys.stderr)
    except PermissionError as error:
        print(f'onestack: {error}. Remedy: run it with sudo.', file=sys.stderr)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)      # whoever read our output has gone
        return 1
    except KeyboardInterrupt:
        print('\nonestack: interrupted; the same command goes on where it stopped.', file=sys.stderr)
        return 130
    return 1


@contextlib.contextmanager
def alone(data_dir: str) -> Iterator[None]:
    """One command at a time changes a cloud."""
    os.makedirs(data_dir, mode=0o755, exist_ok=True)
    with open(os.path.join(data_dir, '.lock'), 'w', encoding='ascii') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Trouble('another onestack command is at work on this cloud.', 'wait until it is done.') from error
        yield


def existing(options: argparse.Namespace) -> Settings:
    """The settings of the cloud that a command is about."""
    settings = load(options.data_dir)
    if settings is None:
        raise Trouble(f'there is no cloud in {options.data_dir}.', '"onestack up" makes one.')
    return settings


# -- up ------------------------------------------------------------------------------------------

def up(options: argparse.Namespace) -> int:
    """Bring everything up."""
    if options.driver != 'fake' and os.geteuid() and load(options.data_dir) is None:
        raise Trouble('virtual machines and networks need root.',
                      'run "sudo tools/onestack up", or "tools/onestack up --driver fake".')
    with alone(options.data_dir):
        settings = settle(options.data_dir, port_base=options.port_base, driver=options.driver,
                          server=not options.no_server, image_store=options.image_store)
        kept = load(options.data_dir)
        if kept and kept.image_store != settings.image_store and host.parent_pid(kept):
            raise Trouble(f'the cloud is up, and keeps images in the {kept.image_store} store.',
                          '"onestack down" first; nothing is lost.')
        who, progress = person(), Progress()
        print(f'onestack: bringing up the cloud in {settings.data_dir}')
        prepare(settings, progress)
        serve(settings, progress)
        server = furnish(settings, who, progress)
        files = clientfiles.write_all(settings, who)
        report.summary(settings, files, server, progress)
    return 0


def prepare(settings: Settings, progress: Progress) -> None:
    """Packages, user, libvirt, files."""
    if not settings.fake:
        missing = host.missing_packages()
        if missing:
            with progress.step('Installing Debian packages') as step:
                step.remark = f'{len(missing)} of them'
                host.install(missing)
        host.ensure_user(settings)
    configs.lay_out(settings)
    if not settings.fake:
        host.check_reach(settings)
        with progress.step('Starting libvirt') as step:
            step.remark = host.start_libvirt(settings)


def serve(settings: Settings, progress: Progress) -> None:
    """Start the daemons unless they run, and wait for the APIs."""
    with progress.step('Starting the daemons') as step:
        if host.parent_pid(settings):
            step.remark = 'already running'
        else:
            busy = host.busy_ports(settings, APIS)
            if busy:
                raise Trouble(f'port {", ".join(map(str, busy))} is in use by another program.',
                              'stop that one, or choose others with --port-base.')
            host.start_parent(settings)
    for service in APIS:
        with progress.step(f'Waiting for the {service} API'):
            wait(f'the {service} API', lambda service=service: answers(settings, service), 60)


def furnish(settings: Settings, who: Person, progress: Progress) -> report.First | None:
    """Accounts, catalog, flavors, image, networks, and the first server."""
    with progress.step('Accounts and catalog'):
        admin = Cloud(settings, 'admin').login()
        provision.accounts(admin)
        provision.catalog(admin)
    with progress.step('Flavors and networks'):
        provision.flavors(admin)
        external = provision.public_network(admin)
        demo = Cloud(settings, 'demo').login()
        network = provision.private_network(demo, external)
        provision.open_doors(demo)
    if not settings.fake and not os.path.exists(settings.path('guest', f'{provision.IMAGE}.qcow2')):
        with progress.step('Building the guest image'):
            provision.guest_image(settings)
    with progress.step('Image'):
        image = provision.image(admin)
    return first(settings, who, progress, demo, image, network, external) if settings.server else None


def first(settings: Settings, who: Person, progress: Progress, demo: Cloud, image: dict[str, object],
          network: dict[str, object], external: dict[str, object]) -> report.First:
    """Boot the first server, or find it running."""
    with progress.step('First server: boot') as step:
        key = story.key_pair(demo, who)
        server = story.wait_active(demo, story.boot(demo, image, network), step, 300)
    with progress.step('First server: floating IP'):
        address = story.floating_ip(demo, server, external)
    if not settings.fake:
        with progress.step('First server: SSH') as step:
            story.wait_ssh(address, step, 300)
    return report.First(str(server['name']), address, key)


# -- the others ----------------------------------------------------------------------------------

def status(options: argparse.Namespace) -> int:
    """Print processes and servers; exit status 3 if the cloud is down."""
    settings = existing(options)
    running = report.processes(settings)
    if not running:
        print('onestack is down')
        return 3
    try:
        report.servers(Cloud(settings, 'admin').login())
    except (Refused, OSError, Trouble) as error:
        print(f'servers: not to be had ({error})')
    return 0


def logs(options: argparse.Namespace) -> int:
    """Print the daemons' logs."""
    report.logs(existing(options), options.daemon, options.lines, options.follow)
    return 0


def ours(settings: Settings) -> set[str]:
    """The UUIDs of every server this cloud ever had, from nova's own database."""
    path = settings.path('db', 'nova.sqlite')
    if not os.path.exists(path):
        return set()
    with contextlib.closing(sqlite3.connect(f'file:{path}?mode=ro', uri=True)) as connection:
        try:
            return {row[0] for row in connection.execute('SELECT id FROM servers')}
        except sqlite3.OperationalError:
            return set()


def down(options: argparse.Namespace) -> int:
    """Stop everything, keep everything."""
    settings, progress = existing(options), Progress()
    with alone(options.data_dir):
        stop(settings, progress)
    print('onestack is down; "onestack up" brings it back, servers too.')
    return 0


def stop(settings: Settings, progress: Progress) -> None:
    """Daemons first, so that nothing interprets the rest; then guests, networks, libvirt."""
    with progress.step('Stopping the daemons') as step:
        step.remark = '' if host.stop_parent(settings) else 'none ran'
    if settings.fake:
        return
    with progress.step('Shutting servers down') as step:
        step.remark = f'{host.shut_down_guests(ours(settings))} of them'
    with progress.step('Giving networks back'):
        host.reset_networks(settings)
    host.stop_libvirt(settings)


def reset(options: argparse.Namespace) -> int:
    """Remove everything."""
    settings = load(options.data_dir)
    if settings is None:
        print(f'onestack: there is no cloud in {options.data_dir}; nothing to do.')
        return 0
    if not options.yes:
        raise Trouble('reset loses every server, image and network of this cloud.', 'say "onestack reset --yes".')
    progress = Progress()
    with alone(options.data_dir):
        with progress.step('Stopping the daemons'):
            host.stop_parent(settings)
        if not settings.fake:
            with progress.step('Removing servers'):
                host.remove_guests(settings, ours(settings))
            with progress.step('Giving networks back'):
                host.reset_networks(settings)
        host.give_back(settings)
        with progress.step('Removing files'):
            clientfiles.remove(settings, person())
            shutil.rmtree(settings.data_dir, ignore_errors=True)
    return 0


COMMANDS = {'up': up, 'status': status, 'logs': logs, 'down': down, 'reset': reset}
