"""Agents and availability zones -- /agents, /availability_zones: the daemons that carry networks."""

import datetime
from typing import Any

from nova.api.network import app
from nova.api.network.policy import ADMIN, ANY_READER, Rule
from nova.api.network.selection import selected
from nova.db import services
from nova.db.services import Service
from nova.network import faults
from strata.rest import Request

BINARY = 'nova-network'
GET = Rule('get_agent', ADMIN, 'See the agents.')
LIST = Rule('get_agents', ANY_READER, 'List the agents that one may see.')
GET_ZONES = Rule('get_availability_zone', ANY_READER, 'See the availability zones.')
#: rules that no route names
MORE_RULES = (GET,)
_FILTERS = {'binary', 'host', 'agent_type', 'alive', 'admin_state_up', 'availability_zone', 'id', 'topic'}


def _agents(req: Request) -> list[dict[str, Any]]:
    with req.wiring.db.reading() as tx:
        now = req.wiring.db.now(tx)
        return [_body(req, service, now) for service in services.every(tx, binary=BINARY)]


def _body(req: Request, service: Service, now: datetime.datetime) -> dict[str, Any]:
    def text(moment: datetime.datetime | None) -> str | None:
        return moment and moment.strftime('%Y-%m-%d %H:%M:%S')
    return {'id': service.id, 'binary': service.binary, 'host': service.host, 'agent_type': 'Network agent',
            'topic': 'network', 'availability_zone': service.availability_zone,
            'admin_state_up': not service.disabled,
            'alive': service.is_up(now, req.wiring.conf.service_down_time),
            'created_at': text(service.created_at), 'started_at': text(service.created_at),
            'heartbeat_timestamp': text(service.seen_at), 'description': None, 'configurations': {},
            'resources_synced': None}


@app.get('/agents', allow=LIST)
def index(req: Request) -> dict[str, Any]:
    """The nova-network daemons; none for those who may not see them."""
    return {'agents': selected(req, _agents(req), _FILTERS) if req.allows(GET) else []}


@app.get('/agents/{id}', allow=LIST)
def show(req: Request, id: str) -> dict[str, Any]:
    """One nova-network daemon; not found by those who may not see it."""
    for agent in _agents(req) if req.allows(GET) else ():
        if agent['id'] == id:
            return {'agent': agent}
    raise faults.AgentNotFound(id=id[:80])


@app.get('/availability_zones', allow=GET_ZONES)
def zones(req: Request) -> dict[str, Any]:
    """The zones that have a nova-network daemon."""
    states: dict[str, bool] = {}
    for agent in _agents(req):
        zone = agent['availability_zone']
        states[zone] = states.get(zone, False) or (agent['alive'] and agent['admin_state_up'])
    return {'availability_zones': [
        {'name': zone, 'resource': resource, 'state': 'available' if usable else 'unavailable'}
        for zone, usable in sorted(states.items()) for resource in ('network', 'router')]}
