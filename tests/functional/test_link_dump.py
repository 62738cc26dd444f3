"""The helper's own reading of the kernel's list of links says what ``ip`` says."""

import json
import os
import socket
import subprocess
import sys

import pytest

from nova.network.host import dump
from tests import sandbox

LOOK = """
import json, socket, sys
sys.path.insert(0, sys.argv[1])
import dataclasses
from nova.network.host import dump
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
    master = socket.if_nametoindex(sys.argv[2])
    print(json.dumps([dataclasses.asdict(link) for link in dump.links(sock, master)]))
"""


def test_all_links_of_the_namespace_are_listed():
    said = json.loads(subprocess.run(['ip', '-j', 'link'], capture_output=True, text=True, check=True).stdout)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        found = {link.index: link for link in dump.links(sock)}
    for one in said:
        link = found[one['ifindex']]
        assert (link.name, link.mtu, link.mac) == (one['ifname'], one['mtu'], one.get('address', ''))
        assert link.up is ('UP' in one['flags'])


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason='needs root')
def test_the_members_of_a_bridge_are_listed_with_what_they_are():
    with sandbox.Sandbox(helper=False) as host:
        host.run('ip', 'link', 'add', 'name', 'br', 'type', 'bridge')
        host.run('ip', 'link', 'add', 'name', 'other', 'type', 'bridge')
        for number in range(150):       # more than fits into one message
            host.run('ip', 'tuntap', 'add', f'tap{number}', 'mode', 'tap', 'user', str(1000 + number))
            host.run('ip', 'link', 'set', f'tap{number}', 'master', 'br' if number else 'other', 'alias',
                     f'pört {number}', 'mtu', str(1400 + number), 'up' if number % 2 else 'down')
        host.run('ip', 'link', 'add', 'outer', 'master', 'br', 'type', 'veth', 'peer', 'name', 'inner')
        found = {link['name']: link for link in json.loads(host.run(
            sys.executable, '-c', LOOK, sandbox.ROOT, 'br'))}
        said = {one['ifname']: one for one in json.loads(host.run('ip', '-j', 'link', 'show', 'master', 'br'))}
    assert found.keys() == said.keys() == {'outer', *(f'tap{number}' for number in range(1, 150))}
    assert (found['outer']['kind'], found['outer']['details'], found['outer']['alias']) == ('veth', {}, None)
    tap = found['tap77']
    assert (tap['kind'], tap['alias'], tap['mtu'], tap['up']) == ('tun', 'pört 77', 1477, True)
    assert tap['details'] == {'IFLA_TUN_OWNER': 1077}
    assert {name: link['mac'] for name, link in found.items()} == {
        name: one['address'] for name, one in said.items()}
    assert len({link['master'] for link in found.values()}) == 1
