"""Who may: the published base rules, and how a resource names its own.

Personas, each including the next: admin (the operator), manager, member,
reader.  Keystone says implied roles in the token, so ``role:reader`` is true
of a member too.  Whose server it is, is settled by ``visible()`` in the
queries; rules decide about the verb.
"""

from collections.abc import Iterable

from oslo_config import cfg

from strata.policy import Policy, Rule

ADMIN = 'rule:context_is_admin'
MEMBER = 'rule:project_member_or_admin'
READER = 'rule:project_reader_or_admin'
ANYONE = '@'
OWNER_OF_KEY = 'rule:context_is_admin or user_id:%(user_id)s'

#: what other rules refer to, under the names operators know
BASE = (
    Rule('context_is_admin', 'role:admin', 'Decides whether a caller sees every project.'),
    Rule('admin_api', 'rule:context_is_admin', 'The operator.'),
    Rule('project_manager_api', 'role:manager and project_id:%(project_id)s', 'A manager in the project.'),
    Rule('project_member_api', 'role:member and project_id:%(project_id)s', 'A member of the project.'),
    Rule('project_reader_api', 'role:reader and project_id:%(project_id)s', 'A reader in the project.'),
    Rule('project_manager_or_admin', 'rule:project_manager_api or rule:context_is_admin'),
    Rule('project_member_or_admin', 'rule:project_member_api or rule:context_is_admin'),
    Rule('project_reader_or_admin', 'rule:project_reader_api or rule:context_is_admin'),
)


#: every rule of the compute API, those that no route names included
_DECLARED: dict[str, Rule] = {}


def rule(name: str, check: str, help: str = '') -> Rule:
    """A rule of the compute API: ``rule('servers:start', MEMBER)``; the same name is the same rule."""
    return _DECLARED.setdefault(name, Rule(f'os_compute_api:{name}', check, help))


def build(conf: cfg.ConfigOpts, rules: Iterable[Rule] = ()) -> Policy:
    """The policy of a process: base rules, the compute API's, ``rules``, and the operator's file over all."""
    return Policy([*BASE, *_DECLARED.values(), *rules], path=conf.find_file(conf.oslo_policy.policy_file))
