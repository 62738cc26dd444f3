"""Every rule the network API knows: those its routes name, and those of single attributes."""

from collections.abc import Iterable

from nova.api.network import agents, app, floatingips, networks, ports, routers, security_groups, subnets
from strata.policy import Rule


def rules() -> Iterable[Rule]:
    """What ``nova.api.policy.build`` must be given besides the other APIs' rules."""
    resources = (networks.NETWORK, subnets.SUBNET, ports.PORT, routers.ROUTER, floatingips.FLOATING_IP,
                 security_groups.GROUP, security_groups.RULE)
    return [*app.rules(), *(rule for each in resources for rule in each.rules()), *agents.MORE_RULES,
            *ports.MORE_RULES, *routers.MORE_RULES]
