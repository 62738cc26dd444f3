"""The first things a cloud needs: a domain, roles, an administrator, and keystone's own endpoints.

Doing it again changes nothing that is right, and mends what is not: it is
also how a locked-out administrator gets back in.
"""

import dataclasses

from sqlalchemy.orm import Session

from keystone.db import assignments, catalog, projects, roles, users
from keystone.db.base import NO_DOMAIN
from keystone.identity import passwords
from keystone.token import revoked
from keystone.wiring import Wiring
from strata import crypt, errors

#: each implies the next
CHAIN = ('admin', 'manager', 'member', 'reader')
IMMUTABLE = {'immutable': True}


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What to make; ``urls`` maps interfaces to URLs of the identity service."""

    password: str
    username: str = 'admin'
    project: str = 'admin'
    service: str = 'keystone'
    region: str = 'RegionOne'
    urls: dict[str, str] = dataclasses.field(default_factory=dict)


def bootstrap(wiring: Wiring, wishes: Wishes) -> None:
    """Make what is missing.  Raises ``errors.Invalid`` without a password."""
    if not wishes.password:
        raise errors.Invalid('A password for the administrator is needed: --bootstrap-password '
                             'or OS_BOOTSTRAP_PASSWORD.')
    domain_id = wiring.conf.identity.default_domain_id
    with wiring.db.reading() as tx:
        known = users.named(tx, wishes.username, domain_id)
    same = known is not None and crypt.verify_password(known.password, wishes.password)
    stored = None if same else passwords.hashed(wiring, wishes.password)
    with wiring.changing('catalog') as tx, tx.no_autoflush:
        _domain(tx, domain_id)
        admin = _roles(tx)
        user = _user(wiring, tx, wishes.username, domain_id, stored)
        project = _project(tx, wishes.project, domain_id)
        tx.flush()
        for kind, id in ((assignments.PROJECT, project.id), (assignments.SYSTEM, assignments.ALL)):
            tx.merge(assignments.Assignment(actor=assignments.USER, actor_id=user.id, target=kind,
                                            target_id=id, role_id=admin.id, inherited=False))
        _endpoints(tx, wishes)
        tx.flush()
    with wiring.changing():
        pass      # what depends on users and roles is looked at anew as well


def _domain(tx: Session, id: str) -> None:
    if projects.get(tx, id) is None:
        tx.add(projects.Project(id=id, name='Default', within=NO_DOMAIN, is_domain=True, enabled=True,
                                description='The default domain', extra={}, options={}))
        tx.flush()


def _roles(tx: Session) -> roles.Role:
    """All the roles; returns the administrator's."""
    made = {}
    for name in (*CHAIN, 'service'):
        role = roles.named(tx, name)
        if role is None:
            role = roles.Role(name=name, extra={}, options=dict(IMMUTABLE))
            tx.add(role)
            tx.flush()
        made[name] = role
    for prior, implied in zip(CHAIN, CHAIN[1:], strict=False):
        tx.merge(roles.Implication(prior_id=made[prior].id, implied_id=made[implied].id))
    return made['admin']


def _user(wiring: Wiring, tx: Session, name: str, domain_id: str, stored: str | None) -> users.User:
    """The administrator, enabled, with the password whose hash is ``stored``, if it is a new one."""
    user = users.named(tx, name, domain_id)
    new = user is None
    if user is None:
        user = users.User(name=name, domain_id=domain_id, extra={}, options={}, created_at=wiring.clock.now())
        tx.add(user)
    user.enabled = True
    if stored is not None:
        passwords.put(wiring, user, stored)
        if not new:
            revoked.revoke(wiring, tx, user_id=user.id)
    return user


def _project(tx: Session, name: str, domain_id: str) -> projects.Project:
    project = projects.named(tx, name, domain_id)
    if project is None:
        project = projects.Project(name=name, domain_id=domain_id, parent_id=domain_id, within=domain_id,
                                   description='Bootstrap project for initializing the cloud.',
                                   extra={}, options={})
        tx.add(project)
    return project


def _endpoints(tx: Session, wishes: Wishes) -> None:
    """The region, the identity service, and an endpoint for each URL that is given."""
    if tx.get(catalog.Region, wishes.region) is None:
        tx.add(catalog.Region(id=wishes.region, description='', extra={}))
        tx.flush()
    service = catalog.service_of_type(tx, 'identity')
    if service is None:
        service = catalog.Service(type='identity', name=wishes.service, extra={})
        tx.add(service)
        tx.flush()
    for interface, url in wishes.urls.items():
        if not url:
            continue
        endpoint = catalog.endpoint_of(tx, service.id, interface, wishes.region)
        if endpoint is None:
            endpoint = catalog.Endpoint(service_id=service.id, interface=interface, region_id=wishes.region,
                                        extra={})
            tx.add(endpoint)
        endpoint.url = url
