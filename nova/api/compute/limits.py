"""Limits and usage of the caller's project -- /limits."""

from typing import Any

from nova.api.compute import app
from nova.api.fields import STRICT
from nova.api.policy import ADMIN, ANYONE, rule
from nova.compute import limits
from strata.rest import TEXT, Query, Request, View, until

OTHER_PROJECT = rule('limits:other_project', ADMIN)
LIST = Query({'reserved': TEXT, 'tenant_id': TEXT}, unknown=STRICT)


def _limit(name: str) -> Any:
    return lambda pair: pair[0][name]


def _used(name: str) -> Any:
    return lambda pair: pair[1][name]


def _network(value: int) -> Any:
    """Networks are counted by the network API; until 2.35 the members are here, saying no limit."""
    return until('2.35', lambda pair: value)


ABSOLUTE = View(
    maxTotalInstances=_limit('instances'), maxTotalCores=_limit('cores'), maxTotalRAMSize=_limit('ram'),
    maxServerMeta=_limit('metadata_items'), maxTotalKeypairs=_limit('key_pairs'),
    maxServerGroups=_limit('server_groups'), maxServerGroupMembers=_limit('server_group_members'),
    maxImageMeta=until('2.38', _limit('metadata_items')),
    maxPersonality=until('2.56', _limit('injected_files')),
    maxPersonalitySize=until('2.56', _limit('injected_file_content_bytes')),
    maxSecurityGroups=_network(-1), maxSecurityGroupRules=_network(-1), maxTotalFloatingIps=_network(-1),
    totalInstancesUsed=_used('instances'), totalCoresUsed=_used('cores'), totalRAMUsed=_used('ram'),
    totalServerGroupsUsed=_used('server_groups'), totalSecurityGroupsUsed=_network(0),
    totalFloatingIpsUsed=_network(0),
)


@app.get('/limits', query=LIST, allow=rule('limits', ANYONE))
def index(req: Request, query: dict[str, Any]) -> dict[str, Any]:
    """Absolute limits; nothing is limited by rate."""
    assert req.context is not None
    project_id = req.context.project_id or ''
    if query.get('tenant_id', project_id) != project_id:
        req.enforce(rule=OTHER_PROJECT)
        project_id = query['tenant_id']
    return {'limits': {'rate': [], 'absolute': ABSOLUTE(req, limits.show(req.wiring, project_id))}}
