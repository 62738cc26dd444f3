"""Security groups and their rules: what may pass, and the group that every project begins with."""

import hashlib
import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.orm import Session

from nova.db import security_groups, tags
from nova.db.ports import PortGroup
from nova.db.security_groups import SecurityGroup, SecurityGroupRule
from nova.network import faults, quotas, revisions
from nova.network.rpc import wake
from nova.wiring import Wiring
from strata import db
from strata.context import Context
from strata.db import retried

#: names a rule may give its protocol, with their numbers
PROTOCOLS = {'ah': 51, 'dccp': 33, 'egp': 8, 'esp': 50, 'gre': 47, 'icmp': 1, 'icmpv6': 58, 'igmp': 2,
             'ipip': 4, 'ipv6-encap': 41, 'ipv6-frag': 44, 'ipv6-icmp': 58, 'ipv6-nonxt': 59, 'ipv6-opts': 60,
             'ipv6-route': 43, 'ospf': 89, 'pgm': 113, 'rsvp': 46, 'sctp': 132, 'tcp': 6, 'udp': 17,
             'udplite': 136, 'vrrp': 112}
WITH_PORTS = {6, 17, 33, 132, 136}
ONLY_IPV6 = {41, 43, 44, 58, 59, 60}


def get(tx: Session, context: Context, id: str) -> SecurityGroup:
    """A visible group, or ``SecurityGroupNotFound``."""
    group = security_groups.find(tx, context, id)
    if group is None:
        raise faults.SecurityGroupNotFound(id=id[:80])
    return group


def refuse_unseen(tx: Session, context: Context, ids: Collection[str]) -> None:
    """``SecurityGroupNotFound`` for a group that is not visible."""
    for id in sorted(set(ids) - security_groups.seen(tx, context, ids)):
        raise faults.SecurityGroupNotFound(id=id[:80])


def get_rule(tx: Session, context: Context, id: str) -> SecurityGroupRule:
    """A visible rule, or ``SecurityGroupRuleNotFound``."""
    rule = security_groups.find_rule(tx, context, id)
    if rule is None:
        raise faults.SecurityGroupRuleNotFound(id=id[:80])
    return rule


def ensure_default(tx: Session, project_id: str) -> str | None:
    """The id of a project's default group, made on first use; ``None`` for resources of no project."""
    if not project_id:
        return None
    there = security_groups.default(tx, project_id)
    if there is not None:
        return there
    try:
        with tx.begin_nested():
            group = SecurityGroup(project_id=project_id, name='default', default_of=project_id,
                                  description='Default security group')
            tx.add(group)
            tx.flush()
    except exc.IntegrityError:      # somebody else made it at the same moment
        return security_groups.default(tx, project_id)
    rules = _first_rules(group)
    for ethertype in ('IPv4', 'IPv6'):
        rules.append(_rule(group, direction='ingress', ethertype=ethertype, remote_group_id=group.id))
    tx.add_all(rules)
    tx.flush()
    quotas.force(tx, project_id, {'security_group': 1, 'security_group_rule': len(rules)})
    return group.id


@retried
def default(wiring: Wiring, project_id: str) -> None:
    """Make a project's default group if it has none; costs one read if it has."""
    if not project_id:
        return
    with wiring.db.reading() as tx:
        if security_groups.default(tx, project_id) is not None:
            return
    with wiring.db.transaction() as tx:
        ensure_default(tx, project_id)


def _first_rules(group: SecurityGroup) -> list[SecurityGroupRule]:
    """What every group starts with: all may leave."""
    return [_rule(group, direction='egress', ethertype=ethertype) for ethertype in ('IPv4', 'IPv6')]


def _rule(group: SecurityGroup, **values: Any) -> SecurityGroupRule:
    rule = SecurityGroupRule(project_id=group.project_id, security_group_id=group.id, **values)
    rule.fingerprint = fingerprint(rule)
    return rule


def fingerprint(rule: SecurityGroupRule) -> str:
    """A digest of what a rule means: the same for two that allow the same."""
    number = protocol_number(rule.protocol)
    prefix = rule.normalized_cidr
    if prefix and ipaddress.ip_network(prefix).prefixlen == 0:
        prefix = None
    meaning = (rule.direction, rule.ethertype, number, rule.port_range_min, rule.port_range_max,
               rule.remote_group_id, prefix)
    return hashlib.sha256(repr(meaning).encode()).hexdigest()


def protocol_number(protocol: str | None) -> int | None:
    """``'tcp'`` or ``'6'`` as 6; ``None`` for any.  Raises ``SecurityGroupRuleInvalidProtocol``."""
    if protocol is None or protocol == 'any':
        return None
    if protocol in PROTOCOLS:
        return PROTOCOLS[protocol]
    if protocol.isascii() and protocol.isdigit() and len(protocol) < 4 and int(protocol) <= 255:
        return int(protocol) or None
    raise faults.SecurityGroupRuleInvalidProtocol(protocol=protocol[:40])


@retried
def create(wiring: Wiring, context: Context, items: Sequence[Mapping[str, Any]]) -> Sequence[SecurityGroup]:
    """Make groups, each with the rules that let everything out."""
    made = []
    with wiring.db.transaction() as tx:
        for item in items:
            project_id = item['project_id']
            # the first of a project's groups is not refused for the default one that comes with it
            quotas.take(tx, wiring, project_id, {'security_group': 1, 'security_group_rule': 2})
            ensure_default(tx, project_id)
            if item.get('name') == 'default':
                raise faults.SecurityGroupDefaultAlreadyExists()
            group = SecurityGroup(**item)
            tx.add(group)
            tx.flush()
            tx.add_all(_first_rules(group))
            tx.flush()
            made.append(group.id)
        found = {group.id: group for group in security_groups.some(tx, made)}
    return [found[id] for id in made]


@retried
def update(wiring: Wiring, context: Context, id: str, values: Mapping[str, Any],
           revision: int | None = None) -> SecurityGroup:
    """Rename a group or describe it anew."""
    with wiring.db.transaction() as tx:
        group = get(tx, context.elevated(), id)
        revisions.check(group, revision)
        if group.default_of and values.get('name', group.name) != group.name:
            raise faults.SecurityGroupCannotUpdateDefault()
        if values.get('name') == 'default' and not group.default_of:
            raise faults.SecurityGroupDefaultAlreadyExists()
        revisions.revise(group, values)
        tx.flush()
        return get(tx, context.elevated(), id)


@retried
def delete(wiring: Wiring, context: Context, id: str) -> None:
    """Delete a group that no port is in; a project's default only by an administrator."""
    with wiring.db.transaction() as tx:
        group = get(tx, context.elevated(), id)
        if group.default_of and not context.is_admin:
            raise faults.SecurityGroupCannotRemoveDefault()
        if tx.scalar(sa.select(PortGroup.port_id).where(PortGroup.security_group_id == id).limit(1)):
            raise faults.SecurityGroupInUse(id=id)
        pointing = security_groups.referring(tx, [id]) - {id}
        lost = tx.scalars(sa.select(SecurityGroupRule).where(sa.or_(
            SecurityGroupRule.security_group_id == id, SecurityGroupRule.remote_group_id == id))).all()
        for rule in lost:
            quotas.give(tx, rule.project_id, {'security_group_rule': 1})
            tx.delete(rule)
        tx.flush()
        quotas.give(tx, group.project_id, {'security_group': 1})
        tags.clear(tx, id)
        _remove(tx, group)
    wake(wiring, context, groups=pointing)


def _remove(tx: Session, group: SecurityGroup) -> None:
    try:
        with tx.begin_nested():
            tx.execute(sa.delete(SecurityGroup).where(SecurityGroup.id == group.id))
    except exc.IntegrityError as error:      # a port joined it since we looked
        raise faults.SecurityGroupInUse(id=group.id) from error


@retried
def create_rules(wiring: Wiring, context: Context, items: Sequence[Mapping[str, Any]]
                 ) -> Sequence[SecurityGroupRule]:
    """Add rules to groups; one that allows what another does is refused."""
    made: list[SecurityGroupRule] = []
    with wiring.db.transaction() as tx:
        for item in items:
            made.append(_add_rule(tx, wiring, context, item))
        groups = {rule.security_group_id for rule in made}
        for rule in made:
            security_groups.find_rule(tx, context.elevated(), rule.id)
    wake(wiring, context, groups=groups)
    return made


def _add_rule(tx: Session, wiring: Wiring, context: Context, item: Mapping[str, Any]) -> SecurityGroupRule:
    group = get(tx, context, item['security_group_id'])
    values = {name: value for name, value in item.items() if name not in ('project_id', 'security_group_id')}
    if values.get('remote_group_id'):
        get(tx, context, values['remote_group_id'])
    rule = SecurityGroupRule(project_id=group.project_id, security_group_id=group.id, **values)
    check(rule)
    rule.fingerprint = fingerprint(rule)
    quotas.take(tx, wiring, group.project_id, {'security_group_rule': 1})
    try:
        with tx.begin_nested():
            tx.add(rule)
            tx.flush()
    except exc.IntegrityError as error:
        twin = tx.scalar(sa.select(SecurityGroupRule.id).where(
            SecurityGroupRule.security_group_id == group.id,
            SecurityGroupRule.fingerprint == rule.fingerprint))
        if twin is None:
            raise db.Dangling() from error
        raise faults.SecurityGroupRuleExists(rule_id=twin) from error
    group.revision_number += 1
    return rule


def check(rule: SecurityGroupRule) -> None:
    """Raise the published error for a rule that means nothing; normalises ``any``."""
    rule.ethertype = rule.ethertype or 'IPv4'
    number = protocol_number(rule.protocol)
    if number is None:
        rule.protocol = None
    if rule.remote_group_id and rule.remote_ip_prefix:
        raise faults.SecurityGroupRemoteGroupAndRemoteIpPrefix()
    if number in ONLY_IPV6 and rule.ethertype == 'IPv4':
        raise faults.SecurityGroupEthertypeConflictWithProtocol(ethertype='IPv4', protocol=rule.protocol)
    if rule.remote_ip_prefix:
        prefix = ipaddress.ip_network(rule.remote_ip_prefix, strict=False)
        if f'IPv{prefix.version}' != rule.ethertype:
            raise faults.SecurityGroupRuleParameterConflict(ethertype=rule.ethertype,
                                                            cidr=rule.remote_ip_prefix)
    _check_range(rule, number)


def _check_range(rule: SecurityGroupRule, number: int | None) -> None:
    low, high = rule.port_range_min, rule.port_range_max
    if low is None and high is None:
        return
    if number is None:
        raise faults.SecurityGroupProtocolRequiredWithPorts()
    if number in (1, 58):
        for value, field, attr in ((low, 'type', 'port_range_min'), (high, 'code', 'port_range_max')):
            if value is not None and not 0 <= value <= 255:
                raise faults.SecurityGroupInvalidIcmpValue(field=field, attr=attr, value=value)
        if low is None:
            raise faults.SecurityGroupMissingIcmpType(value=high)
    elif number in WITH_PORTS:
        for value in (low, high):
            if value is not None and not 1 <= value <= 65535:
                raise faults.SecurityGroupInvalidPortValue(port=value)
        if low is None or high is None or low > high:
            raise faults.SecurityGroupInvalidPortRange()
    else:
        raise faults.SecurityGroupInvalidProtocolForPort(protocol=rule.protocol)


@retried
def delete_rule(wiring: Wiring, context: Context, id: str) -> None:
    """Take a rule away."""
    with wiring.db.transaction() as tx:
        rule = get_rule(tx, context.elevated(), id)
        gone = tx.execute(sa.delete(SecurityGroupRule).where(SecurityGroupRule.id == id))
        if gone.rowcount:      # type: ignore[attr-defined]
            quotas.give(tx, rule.project_id, {'security_group_rule': 1})
            tx.execute(sa.update(SecurityGroup).where(SecurityGroup.id == rule.security_group_id)
                       .values(revision_number=SecurityGroup.revision_number + 1))
    wake(wiring, context, groups=[rule.security_group_id])
