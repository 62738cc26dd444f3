"""Projects: a tree below each domain.

A disabled project has no enabled project below it; a project with others
below it is not deleted.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Session

from keystone import changes
from keystone.db import assignments, credentials, projects, users
from keystone.db.base import new_id
from keystone.db.projects import Project, Tag
from keystone.token import revoked
from keystone.wiring import Wiring
from strata import errors
from strata.db import retried


def put_tags(project: Project, names: Iterable[str]) -> None:
    """Have exactly these tags; the rows that stay are kept."""
    wanted = set(names)
    kept = [tag for tag in project.tags if tag.name in wanted]
    new = wanted - {tag.name for tag in kept}
    project.tags = sorted([*kept, *(Tag(name=name) for name in new)], key=lambda tag: tag.name)


@retried
def create(wiring: Wiring, *, name: str, extra: dict[str, Any], domain_id: str, parent_id: str | None = None,
           description: str | None = '', enabled: bool = True, options: dict[str, Any] | None = None,
           tags: list[str] | None = None) -> Project:
    """A new project below ``parent_id``, or right below its domain."""
    project = Project(id=new_id(), name=name, within=domain_id, domain_id=domain_id,
                      parent_id=parent_id or domain_id, is_domain=False, enabled=enabled,
                      description=description, extra=extra, options=changes.options({}, options), tags=[])
    put_tags(project, tags or [])
    with changes.unique('project', name), wiring.changing() as tx:
        parent = changes.found(projects.get(tx, project.parent_id or ''), 'project', project.parent_id)
        _check_parent(wiring, tx, project, parent)
        tx.add(project)
    return project


def _check_parent(wiring: Wiring, tx: Session, project: Project, parent: Project) -> None:
    if (parent.id if parent.is_domain else parent.domain_id) != project.domain_id:
        raise errors.Invalid('A project must be in the same domain as its parent.')
    if project.enabled and not parent.enabled and not parent.is_domain:
        raise errors.Forbidden('Cannot create an enabled project below the disabled project {id}.',
                               id=parent.id)
    depth = 1 if parent.is_domain else len(projects.ancestors(tx, parent)) + 2
    if depth > wiring.conf.max_project_tree_depth:
        raise errors.Forbidden('Max hierarchy depth reached for branch of project {id}.', id=parent.id)


def find(tx: Session, id: str) -> Project:
    """The project (or domain acting as one), or ``errors.NotFound``."""
    project: Project = changes.found(projects.get(tx, id), 'project', id)
    return project


@retried
def update(wiring: Wiring, id: str, *, extra: dict[str, Any], **values: Any) -> Project:
    """Change a project; disabling it ends the tokens for it."""
    with changes.unique('project', values.get('name', '')), wiring.changing() as tx:
        project = find(tx, id)
        changes.check_movable(project, 'project', values)
        changes.check_domain(project, values)
        if values.pop('parent_id', project.parent_id) != project.parent_id:
            raise errors.Forbidden('Update of `parent_id` is not allowed.')
        if values.pop('is_domain', project.is_domain) != project.is_domain:
            raise errors.Invalid('Update of `is_domain` is not allowed.')
        values['options'] = changes.options(project.options, values.get('options'))
        if values.get('enabled', project.enabled) != project.enabled:
            _switch(wiring, tx, project, values['enabled'])
        if 'tags' in values:
            put_tags(project, values.pop('tags') or [])
        project.extra = changes.merged(project.extra, extra)
        for key, value in values.items():
            setattr(project, key, value)
    return project


def _switch(wiring: Wiring, tx: Session, project: Project, enabled: bool) -> None:
    if enabled:
        if any(not above.enabled for above in projects.ancestors(tx, project)):
            raise errors.Forbidden('Cannot enable project {id} since it has disabled parents.', id=project.id)
        return
    if not project.is_domain and any(child.enabled for child in projects.children(tx, [project.id])):
        raise errors.Forbidden('Cannot disable project {id} since its subtree contains enabled projects.',
                               id=project.id)
    revoked.revoke(wiring, tx, **{'domain_id' if project.is_domain else 'project_id': project.id})


@retried
def delete(wiring: Wiring, id: str) -> None:
    """Remove a project that has none below it, with the assignments and credentials for it."""
    with wiring.changing() as tx:
        project = find(tx, id)
        changes.check_movable(project, 'project')
        if project.is_domain:
            raise errors.Forbidden('Cannot delete a project that acts as a domain; delete the domain.')
        if projects.children(tx, [id]):
            raise errors.Forbidden('Cannot delete the project {id} since it is not a leaf in the hierarchy. '
                                   'Use the cascade option if you want to delete a whole subtree.', id=id)
        purge(tx, project)


def purge(tx: Session, project: Project) -> None:
    """Remove a project or domain and all that names it."""
    assignments.forget_target(tx, project.id)
    credentials.forget_project(tx, project.id)
    users.forget_project(tx, project.id)
    tx.delete(project)
    tx.flush()


@retried
def retag(wiring: Wiring, id: str, *, names: Iterable[str] | None = None, add: str | None = None,
          remove: str | None = None) -> list[str]:
    """Set, add or remove tags; returns those there are then.

    ``errors.NotFound`` for the removal of one that is not there.
    """
    with wiring.changing() as tx:
        project = find(tx, id)
        now = {tag.name for tag in project.tags} if names is None else set(names)
        if add is not None:
            now.add(add)
        if remove is not None:
            if remove not in now:
                raise errors.NotFound('Could not find project tag: {tag}.', tag=remove)
            now.discard(remove)
        if len(now) > MOST_TAGS:
            raise errors.Invalid('A project has at most {most} tags.', most=MOST_TAGS)
        changes.check_movable(project, 'project', {})
        put_tags(project, now)
    return sorted(now)


MOST_TAGS = 80
