"""A project of our own on the cloud: quotas raised, a network, servers; all of it removed afterwards."""

import contextlib
import ipaddress
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import load
from benchmarks.client import Cloud, Credentials, Refused, Trouble

#: thousands of addresses, so that as many servers have a port each
RANGE = '10.240.0.0/19'
UNLIMITED = -1


class Estate:
    """What the measurements of servers stand on."""

    def __init__(self, cloud: Cloud, *, name: str, external: bool, image: str | None = None) -> None:
        self.cloud, self.name = cloud, name
        self.flavor = min(cloud.get('compute', '/flavors/detail')['flavors'],
                          key=lambda one: (one['ram'], one['disk'], one['vcpus']))
        images = [one for one in cloud.get('image', '/images', limit=100)['images']
                  if one['status'] == 'active' and image in (None, one['name'], one['id'])]
        if not images:
            raise Trouble(f'The cloud has no active image {image or "to boot from"}.')
        self.image = min(images, key=lambda one: one['size'] or 0)
        self.network = cloud.call('POST', 'network', '/networks', {'network': {'name': name}})['network']
        self.subnet = cloud.call('POST', 'network', '/subnets', {'subnet': {
            'name': name, 'network_id': self.network['id'], 'ip_version': 4, 'cidr': RANGE,
            'gateway_ip': str(ipaddress.ip_network(RANGE)[1])}})['subnet']
        self.public: dict[str, Any] | None = None
        self.router: dict[str, Any] | None = None
        if external:
            self._open_to_the_world()

    def _open_to_the_world(self) -> None:
        found = self.cloud.get('network', '/networks', **{'router:external': 'true'})['networks']
        if not found:
            raise Trouble('The cloud has no external network, so nothing can be reached by SSH.')
        self.public = found[0]
        self.router = self.cloud.call('POST', 'network', '/routers', {'router': {
            'name': self.name, 'external_gateway_info': {'network_id': self.public['id']}}})['router']
        self.cloud.call('PUT', 'network', f'/routers/{self.router["id"]}/add_router_interface',
                        {'subnet_id': self.subnet['id']})
        [group] = self.cloud.get('network', '/security-groups', name='default',
                                 project_id=self.cloud.project_id)['security_groups']
        self.cloud.call('POST', 'network', '/security-group-rules', {'security_group_rule': {
            'security_group_id': group['id'], 'direction': 'ingress', 'ethertype': 'IPv4', 'protocol': 'tcp',
            'port_range_min': 22, 'port_range_max': 22}}, ok=(409,))

    # -- servers ---------------------------------------------------------------------------------

    def post(self, name: str, port: str | None = None) -> str:
        """Ask for a server; its id."""
        network = {'port': port} if port else {'uuid': self.network['id']}
        body = {'server': {'name': name, 'imageRef': self.image['id'], 'flavorRef': self.flavor['id'],
                           'networks': [network]}}
        return str(self.cloud.call('POST', 'compute', '/servers', body)['server']['id'])

    def wait_active(self, id: str, seconds: float, pause: float) -> None:
        """Poll one server until it is ACTIVE; ``Trouble`` if it fails or takes too long."""
        def look() -> bool:
            server = self.cloud.get('compute', f'/servers/{id}')['server']
            if server['status'] == 'ERROR':
                raise Trouble(f'Server {id} went to ERROR: {server.get("fault", {}).get("message")}')
            return bool(server['status'] == 'ACTIVE')
        wait(f'server {id}', look, seconds, pause)

    def ids(self, name: str, **query: Any) -> list[str]:
        """Servers whose name begins so, page after page."""
        found: list[str] = []
        while True:
            marker = {'marker': found[-1]} if found else {}
            page = self.cloud.get('compute', '/servers', name=f'^{name}', limit=1000, **query, **marker)['servers']
            found += [one['id'] for one in page]
            if len(page) < 1000:
                return found

    def fill(self, wanted: int, seconds: float) -> load.Timing:
        """Have so many servers, all ACTIVE."""
        name = f'{self.name}-fill'
        missing = wanted - len(self.ids(name))
        timing = load.each([lambda: bool(self.post(name))] * missing, threads=8)
        self.wait_all(name, wanted, seconds)
        return timing

    def wait_all(self, name: str, wanted: int, seconds: float, pause: float = 0.1) -> None:
        """Wait until so many servers of the name are ACTIVE; ``Trouble`` if one fails."""
        looks = itertools.count(1)

        def look() -> bool:
            there = len(self.ids(name, status='ACTIVE'))
            # now and then only: to look is work for the cloud as well
            if there < wanted and next(looks) % 20 == 0 and self.ids(name, status='ERROR'):
                raise Trouble(f'Of {wanted} servers {name} some went to ERROR.')
            return there >= wanted
        wait(f'{wanted} servers', look, seconds, pause)

    def clear(self, seconds: float = 600) -> None:
        """Delete every server and wait until they are gone."""
        ids = self.ids(self.name)

        def delete(id: str) -> Callable[[], bool]:
            return lambda: self.cloud.call('DELETE', 'compute', f'/servers/{id}', ok=(404,)) is None
        load.each([delete(id) for id in ids], threads=8)
        wait('the deletion of the servers', lambda: not self.ids(self.name), seconds, 0.2)

    def remove(self) -> None:
        """Take everything away again."""
        self.clear()
        if self.router:
            for address in self.cloud.get('network', '/floatingips', project_id=self.cloud.project_id)['floatingips']:
                self.cloud.call('DELETE', 'network', f'/floatingips/{address["id"]}', ok=(404,))
            self.cloud.call('PUT', 'network', f'/routers/{self.router["id"]}/remove_router_interface',
                            {'subnet_id': self.subnet['id']}, ok=(404,))
            self.cloud.call('DELETE', 'network', f'/routers/{self.router["id"]}', ok=(404,))
        for port in self.cloud.get('network', '/ports', network_id=self.network['id'])['ports']:
            if not port['device_owner'].startswith('network:'):
                self.cloud.call('DELETE', 'network', f'/ports/{port["id"]}', ok=(404,))
        self.cloud.call('DELETE', 'network', f'/networks/{self.network["id"]}', ok=(404,))


@contextlib.contextmanager
def estate(admin: Cloud, image: str | None = None, *, external: bool = False) -> Iterator[Estate]:
    """A project with raised quotas; where making one is not allowed, the caller's own with the quotas it has."""
    name = f'bench-{int(time.time())}'
    try:
        project = admin.call('POST', 'identity', '/projects', {'project': {
            'name': name, 'domain_id': 'default', 'description': 'made by tools/bench'}})['project']
    except Refused as error:
        if error.status != 403:
            raise
        project = None
    try:
        cloud = _member(admin, project) if project else admin
        made = Estate(cloud, name=name, external=external, image=image)
        try:
            yield made
        finally:
            made.remove()
    finally:
        if project:
            admin.call('DELETE', 'identity', f'/projects/{project["id"]}', ok=(404,))


def _member(admin: Cloud, project: dict[str, Any]) -> Cloud:
    """The administrator in the new project, whose quotas are lifted."""
    roles = {role['name']: role['id'] for role in admin.get('identity', '/roles')['roles']}
    for role in ('member', 'admin'):
        if role in roles:
            admin.call('PUT', 'identity', f'/projects/{project["id"]}/users/{admin.user_id}/roles/{roles[role]}')
    admin.call('PUT', 'compute', f'/os-quota-sets/{project["id"]}', {
        'quota_set': dict.fromkeys(('instances', 'cores', 'ram'), UNLIMITED)})
    admin.call('PUT', 'network', f'/quotas/{project["id"]}', {
        'quota': dict.fromkeys(('network', 'subnet', 'port', 'router', 'floatingip'), UNLIMITED)})
    said = admin.credentials
    return Cloud(Credentials(said.auth_url, said.username, said.password, project['name'], said.user_domain,
                             'Default', said.region), admin.connections).login()


def wait(what: str, condition: Callable[[], bool], seconds: float, pause: float) -> None:
    """Wait for a condition; ``Trouble`` names what took too long."""
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            raise Trouble(f'{what} took longer than {seconds:.0f} s.')
        time.sleep(pause)
