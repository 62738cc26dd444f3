"""The first server: a key pair, a boot, a floating IP, and an SSH prompt."""

import os
import socket
import subprocess
from typing import Any

from launcher.cloud import Cloud, wait
from launcher.progress import Step
from launcher.settings import Person, Trouble

NAME, KEY = 'first', 'onestack'
USER_DATA = '#!/bin/sh\necho "user data ran on $(hostname)" > /root/user-data-ran\n'


def key_pair(cloud: Cloud, who: Person) -> str:
    """The person's private key for this cloud; made if it is missing, its public half given to nova."""
    folder = os.path.join(who.home, '.ssh')
    path = os.path.join(folder, 'onestack_ed25519')
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
        os.chown(folder, who.uid, who.gid)
    if not os.path.exists(path):
        try:
            subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'onestack', '-f', path], check=True,
                           capture_output=True, stdin=subprocess.DEVNULL)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            raise Trouble('ssh-keygen failed.', 'install openssh-client.') from error
        for name in (path, path + '.pub'):
            os.chown(name, who.uid, who.gid)
    with open(path + '.pub', encoding='utf-8') as file:
        public = file.read().strip()
    known = {pair['keypair']['name']: pair['keypair']['public_key']
             for pair in cloud.get('compute', '/v2.1/os-keypairs')['keypairs']}
    if known.get(KEY, public).split()[:2] != public.split()[:2]:
        cloud.call('DELETE', 'compute', f'/v2.1/os-keypairs/{KEY}')
        known.pop(KEY)
    if KEY not in known:
        cloud.post('compute', '/v2.1/os-keypairs', {'keypair': {'name': KEY, 'public_key': public}})
    return path


def boot(cloud: Cloud, image: dict[str, Any], network: dict[str, Any]) -> dict[str, Any]:
    """The first server, begun if there is none; one in ERROR is replaced."""
    found = cloud.get('compute', '/v2.1/servers/detail', name=f'^{NAME}$')['servers']
    for server in found:
        if server['status'] != 'ERROR':
            return server
        cloud.call('DELETE', 'compute', f'/v2.1/servers/{server["id"]}', ok=(404,))
    from base64 import b64encode
    return cloud.post('compute', '/v2.1/servers', {'server': {
        'name': NAME, 'imageRef': image['id'], 'flavorRef': '42', 'key_name': KEY,
        'networks': [{'uuid': network['id']}], 'user_data': b64encode(USER_DATA.encode()).decode()}})['server']


def wait_active(cloud: Cloud, server: dict[str, Any], step: Step, seconds: float) -> dict[str, Any]:
    """The server once it is ACTIVE; ``Trouble`` with the fault if it fails.  One that is off is started."""
    def look() -> dict[str, Any] | None:
        now: dict[str, Any] = cloud.get('compute', f'/v2.1/servers/{server["id"]}')['server']
        step.tell(f'{now["status"]} {now.get("OS-EXT-STS:task_state") or ""}')
        if now['status'] == 'ERROR':
            raise Trouble(f'the first server failed: {now.get("fault", {}).get("message")}',
                          'see "onestack logs nova".')
        if now['status'] == 'SHUTOFF' and not now.get('OS-EXT-STS:task_state'):
            cloud.post('compute', f'/v2.1/servers/{server["id"]}/action', {'os-start': None})
        return now if now['status'] == 'ACTIVE' and not now.get('OS-EXT-STS:task_state') else None
    result: dict[str, Any] = wait('the first server', look, seconds, pause=0.2)
    return result


def floating_ip(cloud: Cloud, server: dict[str, Any], external: dict[str, Any]) -> str:
    """The address of the server that the host reaches."""
    [port, *_] = cloud.get('network', '/v2.0/ports', device_id=server['id'])['ports']
    mine = cloud.get('network', '/v2.0/floatingips', port_id=port['id'])['floatingips']
    if not mine:
        mine = [cloud.post('network', '/v2.0/floatingips', {'floatingip': {
            'floating_network_id': external['id'], 'port_id': port['id']}})['floatingip']]
    return str(mine[0]['floating_ip_address'])


def wait_ssh(address: str, step: Step, seconds: float) -> None:
    """Wait until an SSH server greets at the address."""
    def greeted() -> bool:
        try:
            with socket.create_connection((address, 22), timeout=2) as connection:
                connection.settimeout(5)
                return connection.recv(4) == b'SSH-'
        except OSError:
            return False
    step.tell('booting')
    wait(f'the SSH server of {NAME} at {address}', greeted, seconds, pause=0.3)
