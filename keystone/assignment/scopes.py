"""What somebody could get a token for."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from keystone.db import assignments, projects
from keystone.db.projects import Project


def project_ids(tx: Session, user_id: str) -> set[str]:
    """The ids of all projects that a user has a role on, given or inherited."""
    ids: set[str] = set()
    for row in assignments.of_user(tx, user_id):
        if row.target == assignments.PROJECT and not row.inherited:
            ids.add(row.target_id)
        elif row.target == assignments.PROJECT:
            ids.update(below.id for below in projects.descendants(tx, row.target_id))
        elif row.target == assignments.DOMAIN and row.inherited:
            ids.update(tx.scalars(sa.select(Project.id).where(Project.domain_id == row.target_id)))
    return ids


def domain_ids(tx: Session, user_id: str) -> set[str]:
    """The ids of all domains that a user has a role on."""
    return {row.target_id for row in assignments.of_user(tx, user_id)
            if row.target == assignments.DOMAIN and not row.inherited}


def on_system(tx: Session, user_id: str) -> bool:
    """Whether a user has a role on the system."""
    return any(row.target == assignments.SYSTEM for row in assignments.of_user(tx, user_id))


def usable(ids: set[str]) -> sa.Select[tuple[Project]]:
    """Those of the projects and domains that are enabled, and whose domain is."""
    home = sa.orm.aliased(Project)
    return (projects.query().outerjoin(home, home.id == Project.domain_id)
            .where(Project.id.in_(ids), Project.enabled, sa.or_(home.id.is_(None), home.enabled)))
