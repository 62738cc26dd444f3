"""What a host should look like, in plain values: the words between the network manager and its driver.

    NetworkState ── subnets ── SubnetState ── host_routes ── Route
        └── ports ── PortState ── fixed_ips, security_rules, allowed_address_pairs, dhcp_options
    RouterState ── interfaces, gateway ── RouterInterface ── advertised ── Advertised
        └── floating_ips ── FloatingIp, routes ── Route

Everything is immutable and survives a trip through JSON (``to_dict`` here, strictly checked on its
way back by ``nova.network.host.schema``).  Ids are UUIDs in their dashed form, MACs are lower case
with colons, addresses are text as ``ipaddress`` prints them.
"""

import dataclasses
import functools
from typing import Any

#: Linux takes interface names of at most 15 characters
LONGEST_NAME = 15

METADATA_ADDRESS = '169.254.169.254'

#: the modes of IPv6 subnets in which guests ask a DHCP server: for addresses, or for all but addresses
DHCPV6 = ('dhcpv6-stateful', 'dhcpv6-stateless')

#: how hosts may be called, as a regular expression
HOST = '^[A-Za-z0-9_.:-]{1,255}$'


def tap_name(port_id: str) -> str:
    """The tap device of a port; the hypervisor plugs the server into it."""
    return 'tap' + port_id[:11]


def bridge_name(network_id: str) -> str:
    """The bridge of a network, in the host's own namespace."""
    return 'br-' + network_id[:11]


def network_namespace(network_id: str) -> str:
    """The namespace where a network's DHCP server and metadata address live."""
    return 'net-' + network_id[:12]


def router_namespace(router_id: str) -> str:
    """The namespace that is a router."""
    return 'rtr-' + router_id[:12]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One static route, of a subnet's guests or of a router."""

    destination: str                            # CIDR
    nexthop: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SubnetState:
    """One address range of a network."""

    id: str
    cidr: str
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    #: the DHCP port's address on this host; DHCP and metadata need it on an IPv4 subnet
    dhcp_address: str | None = None
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[Route, ...] = ()
    ipv6_ra_mode: str | None = None             # slaac, dhcpv6-stateful, dhcpv6-stateless; routers act on it
    ipv6_address_mode: str | None = None

    @property
    def asks_dhcp(self) -> bool:
        """Whether its guests get addresses, or what goes with them, by DHCP."""
        return self.enable_dhcp and (':' not in self.cidr or self.ipv6_address_mode in DHCPV6)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixedIp:
    """An address a port holds."""

    subnet_id: str
    ip_address: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AddressPair:
    """An address (or CIDR) a port may also send from; with its own MAC unless one is given."""

    ip_address: str
    mac_address: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SecurityRule:
    """One thing that is allowed; remote groups are already expanded to addresses.

    ``remote_cidrs`` None means anywhere; an empty tuple (a remote group without members) allows nobody.
    For ICMP the range is type and code, as Neutron has it.
    """

    direction: str                              # ingress, egress
    ethertype: str = 'IPv4'                     # IPv4, IPv6
    protocol: str | None = None                 # tcp, udp, icmp, icmpv6, a number as text ...; None: any
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_cidrs: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DhcpOption:
    """One ``extra_dhcp_opts`` entry; ``name`` is dnsmasq's name or a number."""

    name: str
    value: str
    ip_version: int = 4


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PortState:
    """One port of a network, on this host or another.

    A port whose ``host`` is the network state's ``host`` gets a persistent tap device, its security
    rules and its anti-spoofing here; any other only its DHCP entry.  ``tap`` False says that no device
    is to be made (router and DHCP ports: their devices belong to the router or the namespace).
    """

    id: str
    mac_address: str
    fixed_ips: tuple[FixedIp, ...] = ()
    host: str | None = None
    tap: bool = True
    owner_uid: int = 0                          # who may open the tap: the hypervisor's user
    admin_state_up: bool = True
    port_security_enabled: bool = True
    security_rules: tuple[SecurityRule, ...] = ()
    allowed_address_pairs: tuple[AddressPair, ...] = ()
    dhcp_options: tuple[DhcpOption, ...] = ()
    dns_name: str | None = None                 # default: host-10-0-0-5

    @property
    def tap_name(self) -> str:
        """The device's name on the host."""
        return tap_name(self.id)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """One network as this host should carry it.

    ``kind`` says how it leaves the host: ``local`` not at all; ``vxlan`` to ``peers`` from ``local_ip``
    under ``segmentation_id``; ``flat`` and ``vlan`` by ``physical_interface``.  With ``host_gateway`` the
    host itself holds the IPv4 subnets' gateway addresses and masquerades the range: the external network
    of a cloud on one host.
    """

    id: str
    host: str
    kind: str = 'local'
    segmentation_id: int | None = None
    physical_interface: str | None = None
    local_ip: str | None = None
    peers: tuple[str, ...] = ()
    mtu: int = 1500
    external: bool = False
    host_gateway: bool = False
    admin_state_up: bool = True
    dhcp_mac: str | None = None                 # of the DHCP port; default: made from the ids
    dns_domain: str = 'openstacklocal'
    subnets: tuple[SubnetState, ...] = ()
    ports: tuple[PortState, ...] = ()

    @property
    def has_metadata(self) -> bool:
        """Whether the metadata address is there: beside a DHCP server's of IPv4."""
        return any(subnet.asks_dhcp and subnet.dhcp_address and ':' not in subnet.cidr for subnet in self.subnets)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Advertised:
    """An IPv6 subnet that a router advertises, in one of the modes of ``ipv6_ra_mode``."""

    cidr: str
    mode: str
    dns_nameservers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RouterInterface:
    """A router's foot in a network; ``addresses`` carry their prefix length: 10.0.0.1/24."""

    port_id: str
    network_id: str
    mac_address: str
    addresses: tuple[str, ...] = ()
    mtu: int = 1500
    advertised: tuple[Advertised, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FloatingIp:
    """A floating address that stands for a fixed one behind the router."""

    id: str
    floating_ip_address: str
    fixed_ip_address: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RouterState:
    """One router.

    ``gateway`` is its port on the external network, ``gateway_nexthops`` are that network's gateways.
    """

    id: str
    admin_state_up: bool = True
    interfaces: tuple[RouterInterface, ...] = ()
    gateway: RouterInterface | None = None
    gateway_nexthops: tuple[str, ...] = ()
    enable_snat: bool = True
    floating_ips: tuple[FloatingIp, ...] = ()
    routes: tuple[Route, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is on the host, wholly or in part: full ids, and for each port its network."""

    networks: frozenset[str] = frozenset()
    routers: frozenset[str] = frozenset()
    ports: dict[str, str] = dataclasses.field(default_factory=dict)


def to_dict(state: Any) -> dict[str, Any]:
    """Any state of this module as JSON's own types.

    A network carries each distinct list of security rules once, and its ports their place in
    ``security_rules``: a group that names itself has all its members in the rules of each of them.
    """
    plain = {name: _plain(getattr(state, name)) for name in _names(type(state)) if name != 'ports'}
    if not isinstance(state, NetworkState):
        return plain
    places: dict[tuple[int, ...], int] = {}
    lists: list[Any] = []
    ports = []
    for port in state.ports:
        same = tuple(map(id, port.security_rules))      # a hash of all the addresses would take too long
        if same not in places:
            places[same] = len(lists)
            lists.append(_plain(port.security_rules))
        ports.append({name: _plain(getattr(port, name)) for name in _names(PortState)
                      if name != 'security_rules'} | {'security_rules': places[same]})
    return {**plain, 'ports': ports, 'security_rules': lists}


def _plain(value: Any) -> Any:
    """What ``dataclasses.asdict`` makes, without its deep copies: states are immutable."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value] if value and not isinstance(value[0], str) else list(value)
    names = _names(type(value))
    return {name: _plain(getattr(value, name)) for name in names} if names else value


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()
