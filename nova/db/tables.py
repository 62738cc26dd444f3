"""Every table of nova: importing this module makes ``METADATA`` whole."""

from nova.db import (
    aggregates,
    flavors,
    floating_ips,
    hosts,
    keypairs,
    network_hosts,
    networks,
    operations,
    passwords,
    ports,
    quotas,
    routers,
    security_groups,
    servers,
    services,
    subnets,
    tags,
)
from nova.db.base import Base

METADATA = Base.metadata

__all__ = ['METADATA', 'aggregates', 'flavors', 'floating_ips', 'hosts', 'keypairs', 'network_hosts', 'networks',
           'operations', 'passwords', 'ports', 'quotas', 'routers', 'security_groups', 'servers', 'services',
           'subnets', 'tags']
