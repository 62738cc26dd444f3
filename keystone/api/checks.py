"""The checks that most rules are made of, in oslo.policy's language.

As in the published defaults, ``admin`` on anything is the administrator of
the cloud; ``reader`` on the system sees all; ``reader`` and ``manager`` on a
domain see and run what is in that domain; everybody has their own things.
"""

ADMIN = 'role:admin'
READER = f'{ADMIN} or (role:reader and system_scope:all)'
SERVICE = 'role:service'
OWNER = 'user_id:%(user_id)s'


def within(role: str, target: str) -> str:
    """Somebody with a role on the domain that ``target`` names."""
    return f'(role:{role} and domain_id:%({target})s)'
