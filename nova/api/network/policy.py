"""Who may do what with networks: the published checks, and rules for single attributes."""

from nova.api.policy import ADMIN
from strata.policy import Rule

#: whose resource it is, is settled by ``visible()`` in the queries and by the target's project here
MEMBER = 'rule:context_is_admin or (role:member and project_id:%(project_id)s)'
READER = 'rule:context_is_admin or (role:reader and project_id:%(project_id)s)'
NETWORK_OWNER = 'rule:context_is_admin or (role:member and project_id:%(network:project_id)s)'
MEMBER_OR_NETWORK_OWNER = ('rule:context_is_admin or (role:member and '
                           '(project_id:%(project_id)s or project_id:%(network:project_id)s))')
#: what everybody may read, as far as ``visible()`` lets them see it
ANY_READER = 'rule:context_is_admin or role:reader'

__all__ = ['ADMIN', 'ANY_READER', 'MEMBER', 'MEMBER_OR_NETWORK_OWNER', 'NETWORK_OWNER', 'READER', 'Rule']
