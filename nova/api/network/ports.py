"""Ports -- /ports."""

from typing import Any

import sqlalchemy as sa

from nova.api.network import app
from nova.api.network.attributes import FIXED_IPS, MAC, STRING, UUID, Attribute, flag, plain_ip, shown, text
from nova.api.network.policy import ADMIN, ANY_READER, MEMBER, MEMBER_OR_NETWORK_OWNER, NETWORK_OWNER, Rule
from nova.api.network.resource import Given, Resource
from nova.db import networks as network_rows
from nova.db import ports as rows
from nova.db.networks import Network
from nova.db.ports import Address, Port, PortGroup
from nova.network import networks, ports
from nova.network.drivers.state import HOST
from strata import errors
from strata.rest import Request

_OWNED = {'create': NETWORK_OWNER, 'update': NETWORK_OWNER}
_BINDING = {'create': ADMIN, 'update': ADMIN, 'get': ADMIN}
#: a DHCP option ends up in a configuration file; what its host would refuse there would stop its whole network
_WORD = r'^[A-Za-z0-9-]+$'
_LINE = r'^[^\x00-\x1f\x7f"\\]*$'
_OPTIONS = {'type': ['array', 'null'], 'maxItems': 64, 'items': {
    'type': 'object', 'additionalProperties': False, 'required': ['opt_name', 'opt_value'], 'properties': {
        'opt_name': {'type': 'string', 'maxLength': 64, 'pattern': _WORD},
        'opt_value': {'type': ['string', 'null'], 'maxLength': 255, 'pattern': _LINE},
        'ip_version': {'enum': [4, 6]}}}}
_PAIRS = {'type': ['array', 'null'], 'maxItems': 100, 'items': {
    'type': 'object', 'additionalProperties': False, 'required': ['ip_address'], 'properties': {
        'ip_address': {'type': 'string', 'format': 'cidr'}, 'mac_address': MAC}}}
_GROUPS = {'type': ['array', 'null'], 'maxItems': 64, 'items': UUID}
#: what a range of device_owner means: services of the network, not of its users
_SERVICE = 'network:'


def _by_address(words: list[str]) -> Any:
    """``fixed_ips=ip_address=10.0.0.5``, ``subnet_id=...``, ``ip_address_substr=10.0``, several ORed by kind."""
    wanted: dict[str, list[str]] = {}
    for word in words:
        kind, _, value = word.partition('=')
        if kind not in ('ip_address', 'subnet_id', 'ip_address_substr') or not value:
            raise errors.Invalid("Invalid input for fixed_ips. Reason: '{word}' is not a filter on addresses.",
                                 word=word[:80])
        wanted.setdefault(kind, []).append(value)
    matching = sa.select(Address.port_id)
    if 'ip_address' in wanted:
        matching = matching.where(Address.ip_address.in_([_address(each) for each in wanted['ip_address']]))
    if 'subnet_id' in wanted:
        matching = matching.where(Address.subnet_id.in_(wanted['subnet_id']))
    if 'ip_address_substr' in wanted:
        matching = matching.where(sa.or_(*(Address.ip_address.contains(each, autoescape=True)
                                           for each in wanted['ip_address_substr'])))
    return Port.id.in_(matching)


def _address(text: str) -> str:
    try:
        return str(plain_ip(text))
    except ValueError:
        return text


def _by_group(words: list[str]) -> Any:
    return Port.id.in_(sa.select(PortGroup.port_id).where(PortGroup.security_group_id.in_(words)))


PORT = Resource('port', 'ports', Port, {
    'network_id': Attribute(schema=UUID, on='c', required=True),
    'name': text(),
    'description': text(),
    'admin_state_up': flag(default=True),
    'status': shown(),
    'mac_address': Attribute(schema=MAC, on='cu', guards=_OWNED, convert=str.lower,
                             condition=lambda words: Port.mac_address.in_([word.lower() for word in words])),
    'fixed_ips': Attribute(schema=FIXED_IPS, on='cu', condition=_by_address),
    'device_id': Attribute(schema=STRING, on='cu'),
    'device_owner': Attribute(schema=STRING, on='cu'),
    'security_groups': Attribute(schema=_GROUPS, on='cu', source='security_group_ids', condition=_by_group),
    'port_security_enabled': flag(guards=_OWNED),
    'allowed_address_pairs': Attribute(schema=_PAIRS, on='cu', guards=_OWNED),
    'extra_dhcp_opts': Attribute(schema=_OPTIONS, on='cu'),
    'binding:vnic_type': Attribute(schema={'enum': ['normal']}, on='cu', key='vnic_type'),
    'binding:host_id': Attribute(schema={'type': ['string', 'null'], 'pattern': f'^$|{HOST}'}, on='cu', key='host',
                                 convert=lambda host: host or '', guards=_BINDING),
    'binding:profile': Attribute(schema={'type': ['object', 'null'], 'maxProperties': 64}, on='cu',
                                 key='binding_profile', convert=lambda profile: profile or {},
                                 guards=_BINDING),
    'binding:vif_type': shown('vif_type', guards={'get': ADMIN}),
    'binding:vif_details': shown('vif_details', guards={'get': ADMIN}),
    'ip_allocation': shown(lambda port: 'immediate' if port.addresses else 'none'),
})

GET = Rule('get_port', ANY_READER, 'See ports.')
CREATE = Rule('create_port', MEMBER, 'Make a port.')
UPDATE = Rule('update_port', MEMBER_OR_NETWORK_OWNER, 'Change a port.')
DELETE = Rule('delete_port', MEMBER_OR_NETWORK_OWNER, 'Delete a port.')
#: choosing an address, and posing as a service, are the network owner's
MORE_RULES = [Rule(f'{verb}_port:{name}', NETWORK_OWNER)
              for verb in ('create', 'update') for name in ('fixed_ips:ip_address', 'device_owner')]


@app.get('/ports', allow=GET)
def index(req: Request) -> dict[str, Any]:
    """Ports of the project, and those on its networks."""
    with req.wiring.db.reading() as tx:
        return PORT.index(req, tx, rows.visible(req.context), rows.whole())


@app.post('/ports', body=PORT.creation, allow=CREATE, late=True, status=201)
def create(req: Request, body: Given) -> dict[str, Any]:
    """Make one port, or many at once."""
    with req.wiring.db.reading() as tx:
        found = {item['network_id']: networks.get(tx, req.context, item['network_id']) for item in body.items}
    wishes = PORT.wishes(req, body,
                         lambda asked: {'network:project_id': found[asked['network_id']].project_id})
    for wish in wishes:
        network = found[wish['network_id']]
        _check_place(req, network, wish['project_id'])
        _check_sensitive(req, 'create', wish, network, wish['project_id'])
        _drop_nulls(wish)
    return PORT.answer(req, body, ports.create(req.wiring, req.context, wishes))


def _check_place(req: Request, network: Network, project_id: str) -> None:
    """An external network is there for routers and floating IPs; only its owner puts other ports on it."""
    if network.external and not network.shared:
        req.enforce({'project_id': project_id, 'network:project_id': network.project_id},
                    Rule('create_port:device_owner', ''))


def _check_sensitive(req: Request, verb: str, asked: dict[str, Any], network: Network,
                     project_id: str) -> None:
    target = {'project_id': project_id, 'network:project_id': network.project_id}
    if any(wish.get('ip_address') for wish in asked.get('fixed_ips') or []):
        req.enforce(target, Rule(f'{verb}_port:fixed_ips:ip_address', ''))
    if str(asked.get('device_owner', '')).startswith(_SERVICE):
        req.enforce(target, Rule(f'{verb}_port:device_owner', ''))


def _drop_nulls(wish: dict[str, Any]) -> None:
    for key in ('security_groups', 'allowed_address_pairs', 'extra_dhcp_opts'):
        if key in wish and wish[key] is None:
            del wish[key]
    if 'extra_dhcp_opts' in wish:
        wish['extra_dhcp_opts'] = ports.merged_options([], wish['extra_dhcp_opts'])


@app.get('/ports/{id}', allow=GET)
def show(req: Request, id: str) -> dict[str, Any]:
    """One port."""
    with req.wiring.db.reading() as tx:
        return PORT.shown(req, ports.get(tx, req.context, id))


@app.put('/ports/{id}', body=PORT.change, allow=UPDATE, late=True)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a port."""
    with req.wiring.db.reading() as tx:
        port = ports.get(tx, req.context, id)
        network = network_rows.some(tx, [port.network_id])[0]
        changes = PORT.changes(req, body, port, lambda asked: {'network:project_id': network.project_id})
        held = {address.ip_address for address in port.addresses}
    if not {str(plain_ip(wish['ip_address'])) for wish in changes.get('fixed_ips', [])
            if wish.get('ip_address')} <= held:
        _check_sensitive(req, 'update', {'fixed_ips': changes['fixed_ips']}, network, port.project_id)
    if changes.get('device_owner', port.device_owner) != port.device_owner:
        _check_sensitive(req, 'update', {'device_owner': changes['device_owner']}, network, port.project_id)
        _check_sensitive(req, 'update', {'device_owner': port.device_owner}, network, port.project_id)
    for key in ('security_groups', 'allowed_address_pairs', 'extra_dhcp_opts'):
        if key in changes and changes[key] is None:
            changes[key] = []
    return PORT.shown(req, ports.update(req.wiring, req.context, id, changes, PORT.revision(req)))


@app.delete('/ports/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a port."""
    with req.wiring.db.reading() as tx:
        port = ports.get(tx, req.context, id)
        req.enforce({'project_id': port.project_id,
                     'network:project_id': ports.owner_of(tx, port.network_id)})
    ports.delete(req.wiring, req.context, id)


