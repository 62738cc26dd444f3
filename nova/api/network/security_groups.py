"""Security groups -- /security-groups -- and their rules -- /security-group-rules."""

from typing import Any

from nova.api.network import app
from nova.api.network.attributes import (
    INTEGER_OR_NULL,
    STRING,
    STRING_OR_NULL,
    UUID,
    Attribute,
    boolean,
    flag,
    shown,
    text,
    whole,
)
from nova.api.network.policy import ANY_READER, MEMBER, Rule
from nova.api.network.resource import Given, Resource
from nova.db import security_groups as rows
from nova.db.security_groups import SecurityGroup, SecurityGroupRule
from nova.network import security_groups
from strata.rest import Request

_PREFIX = {'anyOf': [{'type': 'string', 'format': 'cidr', 'maxLength': 64}, {'type': 'null'}]}


def _protocol(value: Any) -> str | None:
    return None if value is None else str(value).lower()


RULE = Resource('security_group_rule', 'security_group_rules', SecurityGroupRule, {
    'security_group_id': Attribute(schema=UUID, on='c', required=True),
    'direction': Attribute(schema={'enum': ['ingress', 'egress']}, on='c', required=True),
    'ethertype': Attribute(schema={'enum': ['IPv4', 'IPv6', 'ipv4', 'ipv6', None]}, on='c', default='IPv4',
                           convert=lambda kind: f'IPv{kind[-1]}' if kind else 'IPv4'),
    'protocol': Attribute(schema={'type': ['string', 'integer', 'null'], 'maxLength': 32}, on='c',
                          convert=_protocol),
    'port_range_min': Attribute(schema=INTEGER_OR_NULL, on='c', convert=whole),
    'port_range_max': Attribute(schema=INTEGER_OR_NULL, on='c', convert=whole),
    'remote_group_id': Attribute(schema=STRING_OR_NULL, on='c'),
    'remote_ip_prefix': Attribute(schema=_PREFIX, on='c'),
    'remote_address_group_id': shown(lambda rule: None),
    'normalized_cidr': shown('normalized_cidr'),
    'description': text(on='c'),
    'belongs_to_default_sg': shown(lambda rule: rule.group.default_of is not None),
}, tagged=False)


def _rules(group: SecurityGroup) -> list[dict[str, Any]]:
    shown_with_group = {'belongs_to_default_sg': group.default_of is not None}
    return [{**RULE.view(None, rule, but=set(shown_with_group)), **shown_with_group} for rule in group.rules]


GROUP = Resource('security_group', 'security_groups', SecurityGroup, {
    'name': Attribute(schema={**STRING, 'minLength': 0}, on='cu', required=True),
    'description': text(),
    'stateful': flag(default=True),
    'shared': shown(lambda group: False,
                    condition=lambda words: SecurityGroup.id.is_(None) if boolean(words) == [True]
                    else SecurityGroup.id.is_not(None)),
    'security_group_rules': shown(_rules),
})

GET = Rule('get_security_group', ANY_READER, 'See security groups.')
CREATE = Rule('create_security_group', MEMBER, 'Make a security group.')
UPDATE = Rule('update_security_group', MEMBER, 'Change a security group.')
DELETE = Rule('delete_security_group', MEMBER, 'Delete a security group.')
GET_RULE = Rule('get_security_group_rule', ANY_READER, 'See the rules of security groups.')
CREATE_RULE = Rule('create_security_group_rule', MEMBER, 'Add a rule to a security group.')
DELETE_RULE = Rule('delete_security_group_rule', MEMBER, 'Take a rule from a security group.')


@app.get('/security-groups', allow=GET)
def index(req: Request) -> dict[str, Any]:
    """Security groups of the project; its default group is made on first sight."""
    security_groups.default(req.wiring, req.context.project_id)      # type: ignore[union-attr]
    with req.wiring.db.reading() as tx:
        return GROUP.index(req, tx, rows.visible(req.context), rows.whole())


@app.post('/security-groups', body=GROUP.creation, allow=CREATE, late=True, status=201)
def create(req: Request, body: Given) -> dict[str, Any]:
    """Make one group, or many at once."""
    made = security_groups.create(req.wiring, req.context, GROUP.wishes(req, body))
    return GROUP.answer(req, body, made)


@app.get('/security-groups/{id}', allow=GET)
def show(req: Request, id: str) -> dict[str, Any]:
    """One group with its rules."""
    with req.wiring.db.reading() as tx:
        return GROUP.shown(req, security_groups.get(tx, req.context, id))


@app.put('/security-groups/{id}', body=GROUP.change, allow=UPDATE, late=True)
def update(req: Request, id: str, body: dict[str, Any]) -> dict[str, Any]:
    """Rename a group, or describe it anew."""
    with req.wiring.db.reading() as tx:
        changes = GROUP.changes(req, body, security_groups.get(tx, req.context, id))
    return GROUP.shown(req, security_groups.update(req.wiring, req.context, id, changes, GROUP.revision(req)))


@app.delete('/security-groups/{id}', allow=DELETE, late=True, status=204)
def delete(req: Request, id: str) -> None:
    """Delete a group that no port is in."""
    with req.wiring.db.reading() as tx:
        req.enforce({'project_id': security_groups.get(tx, req.context, id).project_id})
    security_groups.delete(req.wiring, req.context, id)


@app.get('/security-group-rules', allow=GET_RULE)
def index_rules(req: Request) -> dict[str, Any]:
    """Rules of the project's groups."""
    security_groups.default(req.wiring, req.context.project_id)      # type: ignore[union-attr]
    with req.wiring.db.reading() as tx:
        return RULE.index(req, tx, rows.visible_rules(req.context), rows.whole_rule())


@app.post('/security-group-rules', body=RULE.creation, allow=CREATE_RULE, late=True, status=201)
def create_rule(req: Request, body: Given) -> dict[str, Any]:
    """Add one rule, or many at once."""
    made = security_groups.create_rules(req.wiring, req.context, RULE.wishes(req, body))
    return RULE.answer(req, body, made)


@app.get('/security-group-rules/{id}', allow=GET_RULE)
def show_rule(req: Request, id: str) -> dict[str, Any]:
    """One rule."""
    with req.wiring.db.reading() as tx:
        return RULE.shown(req, security_groups.get_rule(tx, req.context, id))


@app.delete('/security-group-rules/{id}', allow=DELETE_RULE, late=True, status=204)
def delete_rule(req: Request, id: str) -> None:
    """Take a rule away."""
    with req.wiring.db.reading() as tx:
        req.enforce({'project_id': security_groups.get_rule(tx, req.context, id).project_id})
    security_groups.delete_rule(req.wiring, req.context, id)
