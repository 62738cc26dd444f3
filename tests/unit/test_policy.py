"""Rules, their defaults and their overrides."""

import pytest

from strata import errors
from strata.context import Context
from strata.policy import Policy, Rule

IN_DOMAIN = Rule('list', 'role:reader and domain_id:%(target.domain_id)s')
OWNER = Rule('show', 'role:member and project_id:%(project_id)s')


def test_what_neither_caller_nor_target_has_is_no_match():
    policy = Policy([IN_DOMAIN])
    member = Context(user_id='u', project_id='p', roles=('member', 'reader'))
    assert not policy.allows('list', member, {'target.domain_id': None})
    assert not policy.allows('list', member, {})
    of_domain = Context(user_id='u', domain_id='d', roles=('reader',))
    assert policy.allows('list', of_domain, {'target.domain_id': 'd'})
    assert not policy.allows('list', of_domain, {'target.domain_id': 'e'})


def test_without_a_target_the_callers_own_project_is_meant():
    policy = Policy([OWNER])
    assert policy.allows('show', Context(project_id='p', roles=('member',)))
    assert not policy.allows('show', Context(project_id='p', roles=('reader',)))
    assert not policy.allows('show', Context(roles=('member',)))
    assert not policy.allows('show', Context(project_id='p', roles=('member',)), {'project_id': 'q'})


def test_a_refusal_names_the_rule():
    with pytest.raises(errors.Forbidden, match='show'):
        Policy([OWNER]).check('show', Context())


def test_an_operators_file_overrides_a_default_and_is_noticed_when_it_changes(tmp_path):
    path = tmp_path / 'policy.yaml'
    path.write_text('"show": "role:auditor"\n')
    policy = Policy([OWNER], path=str(path))
    auditor = Context(project_id='p', roles=('auditor',))
    assert policy.allows('show', auditor)
    assert not policy.allows('show', Context(project_id='p', roles=('member',)))
    path.write_text('"show": "!"\n# changed\n')
    assert not policy.allows('show', auditor)


def test_one_rule_with_two_meanings_is_refused():
    with pytest.raises(ValueError, match='twice'):
        Policy([OWNER, Rule('show', '@')])
