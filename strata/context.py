"""Who asks: the identity that travels with a request, over HTTP and over the bus."""

import contextvars
import dataclasses
import re
from typing import Any

from strata import clock

#: what this greenlet works for; log lines and outgoing HTTP calls read it
CURRENT: contextvars.ContextVar['Context | None'] = contextvars.ContextVar('context', default=None)

_GLOBAL_ID = re.compile(r'^req-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$')


def new_request_id() -> str:
    """``req-<uuid>``, as every OpenStack service names a request."""
    return 'req-' + clock.new_uuid()


def is_request_id(text: str) -> bool:
    """Whether a client's ``X-OpenStack-Request-ID`` may be taken over as the global id."""
    return bool(_GLOBAL_ID.match(text))


@dataclasses.dataclass(slots=True)
class Context:
    """The caller, as the token said.  ``is_admin`` is decided by the service's policy, once."""

    request_id: str = dataclasses.field(default_factory=new_request_id)
    global_request_id: str | None = None
    user_id: str | None = None
    user_name: str | None = None
    user_domain_id: str | None = None
    user_domain_name: str | None = None
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None
    system_scope: str | None = None
    roles: tuple[str, ...] = ()
    service_roles: tuple[str, ...] = ()
    service_user_id: str | None = None
    is_admin: bool = False
    #: the caller's token; stays in this process, never on the bus nor in a log
    token: str | None = dataclasses.field(default=None, repr=False)
    remote_address: str | None = None

    def elevated(self) -> 'Context':
        """The same caller with an administrator's sight, for work done on their behalf."""
        return dataclasses.replace(self, is_admin=True)

    def to_dict(self) -> dict[str, Any]:
        """The form that goes over the bus: everything but the token."""
        return {field.name: getattr(self, field.name)
                for field in dataclasses.fields(self) if field.name != 'token'}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> 'Context':
        """The context another process sent; keys we do not know are passed over."""
        known = {field.name for field in dataclasses.fields(cls)}
        taken = {key: value for key, value in values.items() if key in known}
        for name in ('roles', 'service_roles'):
            taken[name] = tuple(taken.get(name) or ())
        return cls(**taken)

    def policy_values(self) -> dict[str, Any]:
        """The credentials in the names that policy rules use.

        What the caller has not got is absent: present as ``None`` it would
        equal whatever a target has not got.
        """
        values = {
            'user_id': self.user_id, 'project_id': self.project_id, 'tenant_id': self.project_id,
            'domain_id': self.domain_id, 'user_domain_id': self.user_domain_id,
            'project_domain_id': self.project_domain_id, 'system_scope': self.system_scope,
            'roles': list(self.roles), 'service_roles': list(self.service_roles),
            'is_admin': self.is_admin}
        return {name: value for name, value in values.items() if value is not None}


def background(service: str) -> Context:
    """The context of a daemon's own work (sweeps, reconcilers): all-seeing, no user."""
    return Context(user_name=service, is_admin=True)
