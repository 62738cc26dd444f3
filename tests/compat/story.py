"""A user's first day, told with the ``openstack`` client; any cloud of ours must let it pass.

Each command costs more than a second of CPU, so this is one story in order
and not a test per command.  It leaves the cloud as it found it but for what
the administrator made.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from tests.compat.client import OpenStack, flat

Login = Callable[[str, str, str | None], OpenStack]


@dataclasses.dataclass(frozen=True)
class Machine:
    """What is booted: an image, its format, the MiB it takes.

    ``run`` carries out a command in the server at an address, with a private key, where a server really runs;
    what it said.
    """

    image: bytes
    disk_format: str
    ram: int
    run: Callable[[str, Path, str], str] | None = None


#: for a hypervisor that boots nothing
PRETENDED = Machine(os.urandom(256 << 10), 'raw', 64)


def administration(admin: OpenStack, home: Path, machine: Machine) -> None:
    """What the administrator of a fresh cloud does: people, an image, a flavor, the way out."""
    token = admin('token', 'issue')
    assert len(token['id']) > 40, token
    assert {'keystone', 'glance', 'nova', 'neutron'} <= {entry['Name'] for entry in admin('catalog', 'list')}
    assert admin('project', 'create', '--description', 'of the story', 'atelier')['name'] == 'atelier'
    assert admin('user', 'create', '--password', 'word-of-alice', '--project', 'atelier', 'alice')['enabled']
    admin.text('role', 'add', '--user', 'alice', '--project', 'atelier', 'member')
    [grant] = admin('role', 'assignment', 'list', '--user', 'alice', '--names')
    assert (grant['Role'], grant['Project']) == ('member', 'atelier@Default')
    (home / 'tiny.img').write_bytes(machine.image)
    image = admin('image', 'create', '--file', 'tiny.img', '--disk-format', machine.disk_format, '--public',
                  'story-image')
    assert (image['status'], image['size']) == ('active', len(machine.image))
    flavor = admin('flavor', 'create', '--ram', str(machine.ram), '--disk', '1', '--vcpus', '1', 'story-flavor')
    assert (flavor['ram'], flavor['vcpus']) == (machine.ram, 1)


def way_out(admin: OpenStack) -> None:
    """An external network, where the cloud has none yet."""
    if any(network['Name'] == 'public' for network in admin('network', 'list', '--external')):
        return
    admin('network', 'create', '--external', 'public')
    admin('subnet', 'create', '--network', 'public', '--subnet-range', '172.24.9.0/24', '--no-dhcp', 'public')


def networking(alice: OpenStack) -> str:
    """A network with a router, a security group, a floating IP, which is returned."""
    assert alice('network', 'create', 'lan')['status'] == 'ACTIVE'
    subnet = alice('subnet', 'create', '--network', 'lan', '--subnet-range', '10.7.0.0/24', 'lan-subnet')
    assert subnet['gateway_ip'] == '10.7.0.1'
    alice('router', 'create', 'way')
    alice.text('router', 'set', '--external-gateway', 'public', 'way')
    alice.text('router', 'add', 'subnet', 'way', 'lan-subnet')
    alice('security', 'group', 'create', 'doors')
    rule = alice('security', 'group', 'rule', 'create', '--protocol', 'tcp', '--dst-port', '22', 'doors')
    assert (rule['port_range_min'], rule['direction']) == (22, 'ingress')
    return str(alice('floating', 'ip', 'create', 'public')['floating_ip_address'])


def server(alice: OpenStack, home: Path) -> None:
    """Boot a server and look at it."""
    key = alice.text('keypair', 'create', 'pass')
    assert 'PRIVATE KEY' in key
    (home / 'pass').write_text(key)
    (home / 'pass').chmod(0o600)
    (home / 'init').write_text('#!/bin/sh\necho from the story >/root/told\n')
    made = alice('server', 'create', '--image', 'story-image', '--flavor', 'story-flavor', '--network', 'lan',
                 '--security-group', 'doors', '--key-name', 'pass', '--user-data', 'init', '--use-config-drive',
                 '--property', 'act=one', '--wait', 'web')
    assert made['status'] == 'ACTIVE', made
    [listed] = alice('server', 'list', '--long')
    assert (listed['Name'], listed['Status'], listed['Image Name']) == ('web', 'ACTIVE', 'story-image')
    shown = alice('server', 'show', 'web')
    assert shown['properties'] == {'act': 'one'}
    assert shown['key_name'] == 'pass'
    assert flat(shown['addresses'])
    assert [group['name'] for group in shown['security_groups']] == ['doors']
    ready(alice)


def asked_again(what: str, look: Callable[[], str], found: Callable[[str], bool]) -> None:
    """Wait as a user does, by asking again; a command takes more than a second."""
    said = []
    for _ in range(40):
        said.append(look())
        if found(said[-1]):
            return
    raise AssertionError(f'never {what}: {said}')


def status(alice: OpenStack, wanted: str) -> None:
    """Wait until the server has a status."""
    asked_again(wanted, lambda: str(alice('server', 'show', 'web')['status']), wanted.__eq__)


def ready(alice: OpenStack) -> None:
    """Wait until the guest says on its console that it is ready."""
    asked_again('ready', lambda: alice.text('console', 'log', 'show', '--lines', '5', 'web'),
                lambda log: 'guest: ready' in log)


def verbs(alice: OpenStack) -> None:
    """Stop, start, reboot, pause."""
    alice.text('server', 'stop', 'web')
    status(alice, 'SHUTOFF')
    alice.text('server', 'start', 'web')
    status(alice, 'ACTIVE')
    alice.text('server', 'reboot', '--wait', 'web')
    alice.text('server', 'reboot', '--hard', '--wait', 'web')
    ready(alice)
    alice.text('server', 'pause', 'web')
    status(alice, 'PAUSED')
    alice.text('server', 'unpause', 'web')
    status(alice, 'ACTIVE')
    done = {event['Action'] for event in alice('server', 'event', 'list', 'web')}
    assert {'create', 'stop', 'start', 'reboot', 'pause', 'unpause'} <= done


def reached(alice: OpenStack, address: str, home: Path, machine: Machine) -> None:
    """The floating IP is the server's, which lets the key's owner in, and given back."""
    alice.text('server', 'add', 'floating', 'ip', 'web', address)
    assert address in flat(alice('server', 'show', 'web')['addresses'])
    if machine.run:
        assert machine.run(address, home / 'pass', 'hostname; cat /root/told') == 'web\nfrom the story\n'
    alice.text('server', 'remove', 'floating', 'ip', 'web', address)


def refusals(alice: OpenStack) -> None:
    """What is the administrator's is refused to a member."""
    for words in (('flavor', 'create', '--ram', '64', '--disk', '1', 'mine'), ('user', 'list'),
                  ('network', 'create', '--external', 'mine'), ('server', 'list', '--all-projects'),
                  ('compute', 'service', 'set', '--disable', 'somewhere', 'nova-compute'),
                  ('image', 'create', '--public', '--file', 'tiny.img', 'mine')):
        assert '403' in alice.refused(*words), words


def goodbye(alice: OpenStack, address: str) -> None:
    """Everything of the user's goes."""
    alice.text('server', 'delete', '--wait', 'web')
    assert alice('server', 'list') == []
    alice.text('floating', 'ip', 'delete', address)
    alice.text('router', 'remove', 'subnet', 'way', 'lan-subnet')
    alice.text('router', 'delete', 'way')
    alice.text('network', 'delete', 'lan')
    alice.text('security', 'group', 'delete', 'doors')
    assert alice('port', 'list') == []


def tell(login: Login, password: str, home: Path, machine: Machine = PRETENDED) -> None:
    """All of it."""
    admin = login('admin', password, 'admin')
    administration(admin, home, machine)
    way_out(admin)
    alice = login('alice', 'word-of-alice', 'atelier')
    address = networking(alice)
    server(alice, home)
    verbs(alice)
    reached(alice, address, home, machine)
    refusals(alice)
    goodbye(alice, address)
