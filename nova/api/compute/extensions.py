"""Extensions -- /extensions: what this API has of what used to come as extensions, and nothing else."""

from typing import Any

from nova.api.compute import app
from nova.api.policy import ANYONE, rule
from strata import errors
from strata.rest import Request

_NAMES = {
    'OS-DCF': ('DiskConfig', 'Disk Management Extension.'),
    'OS-EXT-AZ': ('ExtendedAvailabilityZone', 'Extended Availability Zone support.'),
    'OS-EXT-IPS': ('ExtendedIps', 'Adds type parameter to the ip list.'),
    'OS-EXT-IPS-MAC': ('ExtendedIpsMac', 'Adds mac address parameter to the ip list.'),
    'OS-EXT-SRV-ATTR': ('ExtendedServerAttributes', 'Extended Server Attributes support.'),
    'OS-EXT-STS': ('ExtendedStatus', 'Extended Status support.'),
    'OS-FLV-DISABLED': ('FlavorDisabled', 'Support to show the disabled status of a flavor.'),
    'OS-FLV-EXT-DATA': ('FlavorExtraData', 'Provide additional data for flavors.'),
    'OS-SCH-HNT': ('SchedulerHints', 'Pass arbitrary key/value pairs to the scheduler.'),
    'OS-SRV-USG': ('ServerUsage', 'Adds launched_at and terminated_at on Servers.'),
    'os-admin-actions': ('AdminActions', 'Enable admin-only server actions.'),
    'os-aggregates': ('Aggregates', 'Admin-only aggregate administration.'),
    'os-availability-zone': ('AvailabilityZone', 'Availability zones of servers.'),
    'os-config-drive': ('ConfigDrive', 'Config Drive Extension.'),
    'os-console-output': ('ConsoleOutput', 'Console log output support, with tailing ability.'),
    'os-extended-status': ('ExtendedStatus', 'Extended Status support.'),
    'os-flavor-access': ('FlavorAccess', 'Flavor access support.'),
    'os-flavor-extra-specs': ('FlavorExtraSpecs', 'Flavors extra specs support.'),
    'os-flavor-manage': ('FlavorManage', 'Flavor create/delete API support.'),
    'os-flavor-rxtx': ('FlavorRxtx', 'Support to show the rxtx status of a flavor.'),
    'os-hypervisors': ('Hypervisors', 'Admin-only hypervisor administration.'),
    'os-instance-actions': ('InstanceActions', 'View a log of actions and events taken on an instance.'),
    'os-keypairs': ('Keypairs', 'Keypair Support.'),
    'os-lock-server': ('LockServer', 'Enable lock/unlock server actions.'),
    'os-multiple-create': ('MultipleCreate', 'Allow multiple create in the Create Server v2.1 API.'),
    'os-pause-server': ('PauseServer', 'Enable pause/unpause server actions.'),
    'os-quota-sets': ('Quotas', 'Quotas management support.'),
    'os-server-diagnostics': ('ServerDiagnostics', 'Allow Admins to view server diagnostics.'),
    'os-security-groups': ('SecurityGroups', 'Security group support.'),
    'os-server-password': ('ServerPassword', 'Server password support.'),
    'os-server-sort-keys': ('ServerSortKeys', 'Add sorting support in get Server v2 API.'),
    'os-services': ('Services', 'Services support.'),
    'os-simple-tenant-usage': ('SimpleTenantUsage', 'Simple tenant usage extension.'),
    'os-suspend-server': ('SuspendServer', 'Enable suspend/resume server actions.'),
    'os-used-limits': ('UsedLimits', 'Provide data on limited resources that are being used.'),
    'os-user-data': ('UserData', 'Add user_data to the Create Server API.'),
}


def _entry(alias: str) -> dict[str, Any]:
    name, description = _NAMES[alias]
    return {'alias': alias, 'name': name, 'description': description, 'links': [],
            'namespace': f'http://docs.openstack.org/compute/ext/{alias}', 'updated': '2014-12-03T00:00:00Z'}


@app.get('/extensions', allow=rule('extensions', ANYONE))
def index(req: Request) -> dict[str, Any]:
    """All of them."""
    return {'extensions': [_entry(alias) for alias in _NAMES]}


@app.get('/extensions/{alias}', allow=rule('extensions', ANYONE))
def show(req: Request, alias: str) -> dict[str, Any]:
    """One of them."""
    if alias not in _NAMES:
        raise errors.NotFound('Extension {alias} could not be found.', alias=alias[:80])
    return {'extension': _entry(alias)}
