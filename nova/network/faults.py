"""What the network API can refuse, by the names that its clients know.

The name of a class is the ``type`` of the error on the wire.
"""

from strata import errors


class BadRequest(errors.Invalid):
    message = 'Invalid input for operation: {reason}.'


class InvalidInput(errors.Invalid):
    message = 'Invalid input for operation: {error_message}.'


class NetworkNotFound(errors.NotFound):
    message = 'Network {id} could not be found.'


class SubnetNotFound(errors.NotFound):
    message = 'Subnet {id} could not be found.'


class PortNotFound(errors.NotFound):
    message = 'Port {id} could not be found.'


class RouterNotFound(errors.NotFound):
    message = 'Router {id} could not be found'


class FloatingIPNotFound(errors.NotFound):
    message = 'Floating IP {id} could not be found'


class SecurityGroupNotFound(errors.NotFound):
    message = 'Security group {id} does not exist'


class SecurityGroupRuleNotFound(errors.NotFound):
    message = 'Security group rule {id} does not exist'


class ExtensionNotFound(errors.NotFound):
    message = 'The extension {id} could not be found.'


class AgentNotFound(errors.NotFound):
    message = 'Agent {id} could not be found.'


class TagResourceNotFound(errors.NotFound):
    message = 'Resource {resource} {id} could not be found.'


class TagNotFound(errors.NotFound):
    message = 'Tag {tag} could not be found.'



class NetworkInUse(errors.Conflict):
    message = ('Unable to complete operation on network {id}. There are one or more ports still in use '
               'on the network, id for these ports is: {ports}.')


class SubnetInUse(errors.Conflict):
    message = ('Unable to complete operation on subnet {id}: One or more ports have an IP '
               'allocation from this subnet.')


class PortInUse(errors.Conflict):
    message = ('Unable to complete operation on port {id} for network {network_id}. Port already '
               'has an attached device {device_id}.')


class ServicePortInUse(errors.Conflict):
    message = 'Port {id} cannot be deleted directly via the port API: {reason}.'


class IpAddressInUse(errors.Conflict):
    message = 'Unable to complete operation for network {network_id}. The IP address {ip_address} is in use.'


class IpAddressAlreadyAllocated(errors.Conflict):
    message = 'IP address {ip} already allocated in subnet {subnet_id}.'


class IpAddressGenerationFailure(errors.Conflict):
    message = 'No more IP addresses available on network {network_id}.'


class MacAddressInUse(errors.Conflict):
    message = 'Unable to complete operation for network {network_id}. The mac address {mac} is in use.'


class InvalidIpForNetwork(errors.Invalid):
    message = 'IP address {ip_address} is not a valid IP for any of the subnets on the specified network.'


class InvalidIpForSubnet(errors.Invalid):
    message = 'IP address {ip_address} is not a valid IP for the specified subnet.'


class InvalidAllocationPool(errors.Invalid):
    message = 'The allocation pool {pool} is not valid.'


class OutOfBoundsAllocationPool(errors.Invalid):
    message = 'The allocation pool {pool} spans beyond the subnet cidr {cidr}.'


class OverlappingAllocationPools(errors.Conflict):
    message = 'Found overlapping allocation pools: {first} {second} for subnet {cidr}.'


class GatewayConflictWithAllocationPools(errors.Conflict):
    message = 'Gateway ip {ip_address} conflicts with allocation pool {pool}.'


class GatewayIpInUse(errors.Conflict):
    message = 'Current gateway ip {ip_address} already in use by port {port_id}. Unable to update.'


class HostRoutesExhausted(errors.Invalid):
    message = 'Unable to complete operation: The number of host routes exceeds the limit of {limit}.'


class DNSNameServersExhausted(errors.Invalid):
    message = 'Unable to complete operation: The number of DNS nameservers exceeds the limit of {limit}.'


class NoNetworkAvailable(errors.Conflict):
    message = 'Unable to create the network. No tenant network is available for allocation.'


class VlanIdInUse(errors.Conflict):
    message = ('Unable to create the network. The VLAN {segmentation_id} on physical network {physical_network} '
               'is in use.')


class TunnelIdInUse(errors.Conflict):
    message = 'Unable to create the network. The tunnel ID {segmentation_id} is in use.'


class FlatNetworkInUse(errors.Conflict):
    message = 'Unable to create the flat network. Physical network {physical_network} is in use.'


class InvalidSharedSetting(errors.Conflict):
    message = 'Unable to reconfigure sharing settings for network {network}. Multiple tenants are using it.'


class NetworkMTUSubnetConflict(errors.Conflict):
    message = 'MTU {mtu} of network {id} is less than {least}, the least that its IPv{version} subnets need.'


class ExternalNetworkInUse(errors.Conflict):
    message = ('External network {id} cannot be updated to be made non-external, since it has '
               'existing gateway ports.')


class PortSecurityAndIPRequiredForSecurityGroups(errors.Invalid):
    message = ('Port security must be enabled and port must have an IP address in order to use '
               'security groups.')


class PortSecurityPortHasSecurityGroup(errors.Conflict):
    message = ('Port has security group associated. Cannot disable port security or IP address '
               'until it is removed.')


class AddressPairAndPortSecurityRequired(errors.Conflict):
    message = 'Port Security must be enabled in order to have allowed address pairs on a port.'


class AllowedAddressPairExhausted(errors.Invalid):
    message = 'The number of allowed address pair exceeds the maximum {quota}.'


class DuplicateAddressPairInRequest(errors.Invalid):
    message = 'Request contains duplicate address pair: mac_address {mac} ip_address {ip}.'


class RouterInUse(errors.Conflict):
    message = 'Router {id} still has ports'


class RouterInterfaceNotFound(errors.NotFound):
    message = 'Router {id} does not have an interface with id {port_id}'


class RouterInterfaceNotFoundForSubnet(errors.NotFound):
    message = 'Router {id} has no interface on subnet {subnet_id}'


class RouterInterfaceInUseByFloatingIP(errors.Conflict):
    message = ('Router interface for subnet {subnet_id} on router {id} cannot be deleted, as it is required '
               'by one or more floating IPs.')


class RouterInterfaceInUseByRoute(errors.Conflict):
    message = ('Router interface for subnet {subnet_id} on router {id} cannot be deleted, as it is required '
               'by one or more routes.')


class RouterExternalGatewayInUseByFloatingIp(errors.Conflict):
    message = ('Gateway cannot be updated for router {id}, since a gateway to external network '
               '{net_id} is required by one or more floating IPs.')


class InvalidRoutes(errors.Invalid):
    message = 'Invalid format for routes: {routes}, {reason}'


class RoutesExhausted(errors.Invalid):
    message = ('Unable to complete operation for {router_id}. The number of routes exceeds the '
               'maximum {quota}.')


class ExternalGatewayForFloatingIPNotFound(errors.NotFound):
    message = ('External network {external_network_id} is not reachable from subnet {subnet_id}.  Therefore, '
               'cannot associate Port {port_id} with a Floating IP.')


class FloatingIPPortAlreadyAssociated(errors.Conflict):
    message = ('Cannot associate floating IP {floating_ip_address} ({fip_id}) with port {port_id} using fixed IP '
               '{fixed_ip}, as that fixed IP already has a floating IP on external network {net_id}.')


class SecurityGroupInUse(errors.Conflict):
    message = 'Security Group {id} in use.'


class SecurityGroupCannotRemoveDefault(errors.Conflict):
    message = 'Insufficient rights for removing default security group.'


class SecurityGroupCannotUpdateDefault(errors.Conflict):
    message = 'Updating default security group not allowed.'


class SecurityGroupDefaultAlreadyExists(errors.Conflict):
    message = 'Default security group already exists.'


class SecurityGroupRuleExists(errors.Conflict):
    message = 'Security group rule already exists. Rule id is {rule_id}.'



class SecurityGroupInvalidPortRange(errors.Invalid):
    message = 'For TCP/UDP protocols, port_range_min must be <= port_range_max'


class SecurityGroupInvalidPortValue(errors.Invalid):
    message = 'Invalid value for port {port}'


class SecurityGroupInvalidIcmpValue(errors.Invalid):
    message = 'Invalid value for ICMP {field} ({attr}) {value}. It must be 0 to 255.'


class SecurityGroupMissingIcmpType(errors.Invalid):
    message = 'ICMP code (port-range-max) {value} is provided but ICMP type (port-range-min) is missing.'


class SecurityGroupInvalidProtocolForPort(errors.Invalid):
    message = ('Ports cannot be specified for protocol {protocol}. Ports are only supported for '
               'tcp, udp, sctp, dccp, udplite.')


class SecurityGroupRuleInvalidProtocol(errors.Invalid):
    message = ('Security group rule protocol {protocol} not supported. Only protocol values and '
               'integer representations [0 to 255] are supported.')



class SecurityGroupRuleParameterConflict(errors.Invalid):
    message = 'Conflicting value ethertype {ethertype} for CIDR {cidr}'


class SecurityGroupEthertypeConflictWithProtocol(errors.Invalid):
    message = 'Invalid ethertype {ethertype} for protocol {protocol}.'


class SecurityGroupRemoteGroupAndRemoteIpPrefix(errors.Invalid):
    message = 'Only remote_ip_prefix or remote_group_id may be provided.'


class SecurityGroupProtocolRequiredWithPorts(errors.Invalid):
    message = 'Must also specify protocol if port range is given.'


class RevisionNumberConstraintFailed(errors.PreconditionFailed):
    message = 'Constrained to {expected}, but current revision is {current}'


class OverQuota(errors.Conflict):
    message = 'Quota exceeded for resources: {resources}.'



class PortBound(errors.Conflict):
    message = 'Unable to complete operation on port {id}, port is already bound.'


class DeviceIDNotOwnedByTenant(errors.Conflict):
    message = ('The following device_id {device_id} is not owned by your tenant or matches another '
               'tenants router.')
