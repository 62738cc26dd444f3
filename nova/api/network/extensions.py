"""Extensions -- /extensions: what of Neutron's published extensions is really here."""

from typing import Any

from nova.api.network import app
from nova.api.network.policy import ANY_READER, Rule
from nova.network import faults
from strata.rest import Request

GET = Rule('get_extension', ANY_READER, 'List the extensions.')

#: alias: (name, description)
EXTENSIONS: dict[str, tuple[str, str]] = {
    'agent': ('agent', 'The hosts that carry networks.'),
    'allowed-address-pairs': ('Allowed Address Pairs', 'Addresses a port may use besides its own.'),
    'availability_zone': ('Availability Zone', 'The zones of hosts that carry networks.'),
    'binding': ('Port Binding', 'Which host a port is on.'),
    'empty-string-filtering': ('Empty String Filtering Extension', 'Filters may have an empty value.'),
    'ext-gw-mode': ('Neutron L3 Configurable external gateway mode',
                    'Source NAT of a router may be turned off.'),
    'external-net': ('Neutron external network',
                     'Networks that routers and floating IPs reach the outside by.'),
    'extra_dhcp_opt': ('Neutron Extra DHCP options', 'DHCP options of a single port.'),
    'extraroute': ('Neutron Extra Route', 'Static routes of a router.'),
    'extraroute-atomic': ('Atomically add/remove extra routes', 'Routes are added and removed one by one.'),
    'filter-validation': ('Filter parameters validation', 'Unknown filters are refused.'),
    'ip-substring-filtering': ('IP address substring filtering',
                               'Ports may be searched by part of an address.'),
    'net-mtu': ('Network MTU', 'The MTU of a network.'),
    'net-mtu-writable': ('Network MTU (writable)', 'The MTU of a network may be set.'),
    'network_availability_zone': ('Network Availability Zone', 'Availability zones of networks.'),
    'pagination': ('Pagination support', 'Lists come in pages.'),
    'port-security': ('Port Security', 'Anti-spoofing and security groups may be turned off for a port.'),
    'project-id': ('project_id field enabled', 'Resources show project_id beside tenant_id.'),
    'provider': ('Provider Network', 'The segment behind a network.'),
    'quotas': ('Quota management support', 'Limits of a project.'),
    'quota_details': ('Quota details management support', 'What a project uses of its limits.'),
    'quota-check-limit': ('Quota engine limit check', 'Limits below what is used may be refused.'),
    'revision-if-match': ('If-Match constraints based on revision_number',
                          'Updates may insist on a revision.'),
    'router': ('Neutron L3 Router', 'Routers and floating IPs.'),
    'router_availability_zone': ('Router Availability Zone', 'Availability zones of routers.'),
    'security-group': ('security-group', 'Security groups and their rules.'),
    'security-groups-normalized-cidr': ('Normalized CIDR field for security group rules',
                                        'Rules show the prefix that takes effect.'),
    'security-groups-shared-filtering': ('Security group filtering on the shared field',
                                         'Security groups may be filtered by shared.'),
    'service-type': ('Neutron Service Type Management', 'Which kinds of services are carried, and by what.'),
    'sorting': ('Sorting support', 'Lists may be sorted.'),
    'standard-attr-description': ('standard-attr-description', 'Resources have descriptions.'),
    'standard-attr-revisions': ('Resource revision numbers', 'Resources count their changes.'),
    'standard-attr-tag': ('Tag support for resources with standard attribute', 'Resources have tags.'),
    'standard-attr-timestamp': ('Resource timestamps', 'Resources tell when they were made and changed.'),
    'subnet-external-network': ('Subnet belongs to an external network',
                                'Subnets tell whether they are external.'),
    'subnet-service-types': ('Subnet service types', 'Subnets may be kept for some kinds of ports.'),
    'tag-creation': ('Tag creation', 'Several tags are hung at once, beside those that are there.'),
}

def _body(alias: str) -> dict[str, Any]:
    name, description = EXTENSIONS[alias]
    return {'alias': alias, 'name': name, 'description': description, 'links': [],
            'updated': '2026-11-22T00:00:00-00:00'}


@app.get('/extensions', allow=GET)
def index(req: Request) -> dict[str, Any]:
    """All extensions."""
    return {'extensions': [_body(alias) for alias in EXTENSIONS]}


@app.get('/extensions/{alias}', allow=GET)
def show(req: Request, alias: str) -> dict[str, Any]:
    """One extension."""
    if alias not in EXTENSIONS:
        raise faults.ExtensionNotFound(id=alias[:80])
    return {'extension': _body(alias)}
