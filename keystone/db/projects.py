"""Projects, and domains, which are projects at the root: the tables, and every query on them."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column, relationship, selectinload

from keystone.db.base import Base, new_id
from strata import db


class Tag(Base):
    __tablename__ = 'project_tags'

    project_id: Mapped[str] = mapped_column(db.Id, sa.ForeignKey('projects.id', ondelete='CASCADE'),
                                            primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(255), primary_key=True)


class Project(Base):
    """``domain_id`` and ``parent_id`` are NULL for a domain."""

    __tablename__ = 'projects'
    __table_args__ = (sa.UniqueConstraint('within', 'name'),)

    id: Mapped[str] = mapped_column(db.Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(sa.String(64))
    #: see ``base.within``
    within: Mapped[str] = mapped_column(sa.String(64))
    domain_id: Mapped[str | None] = mapped_column(db.Id, sa.ForeignKey('projects.id'), index=True)
    parent_id: Mapped[str | None] = mapped_column(db.Id, sa.ForeignKey('projects.id'), index=True)
    is_domain: Mapped[bool] = mapped_column(default=False)
    enabled: Mapped[bool] = mapped_column(default=True)
    description: Mapped[str | None] = mapped_column(sa.Text)
    extra: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)
    options: Mapped[dict[str, Any]] = mapped_column(db.Json, default=dict)

    tags: Mapped[list[Tag]] = relationship(Tag, lazy='raise', cascade='all, delete-orphan', order_by=Tag.name,
                                           passive_deletes=True)


def query(*, is_domain: bool | None = None) -> sa.Select[tuple[Project]]:
    """Projects with their tags; ``is_domain`` picks domains or the others."""
    found = sa.select(Project).options(selectinload(Project.tags))
    return found if is_domain is None else found.where(Project.is_domain.is_(is_domain))


def get(tx: Session, id: str) -> Project | None:
    """A project or domain with its tags."""
    return tx.scalar(query().where(Project.id == id))


def named(tx: Session, name: str, domain_id: str) -> Project | None:
    """The project of that name in a domain."""
    return tx.scalar(query().where(Project.name == name, Project.domain_id == domain_id))


def domain(tx: Session, *, id: str | None = None, name: str | None = None) -> Project | None:
    """A domain by id or, if that is not given, by name."""
    wanted = Project.id == id if id is not None else Project.name == name
    return tx.scalar(query(is_domain=True).where(wanted))


def with_domain(tx: Session, id: str) -> tuple[Project, Project | None] | None:
    """A project and the domain it is in (``None`` for a domain)."""
    home = aliased(Project)
    row = tx.execute(sa.select(Project, home).outerjoin(home, home.id == Project.domain_id)
                     .where(Project.id == id)).first()
    return (row[0], row[1]) if row else None


def ancestors(tx: Session, project: Project) -> list[Project]:
    """The projects above, nearest first, without the domain."""
    above: list[Project] = []
    here = project
    while here.parent_id is not None and here.parent_id != here.domain_id:
        parent = tx.get(Project, here.parent_id)
        if parent is None:
            break
        above.append(parent)
        here = parent
    return above


def children(tx: Session, ids: Iterable[str]) -> Sequence[Project]:
    """The projects right below any of those given."""
    return tx.scalars(query().where(Project.parent_id.in_(list(ids))).order_by(Project.name)).all()


def descendants(tx: Session, id: str) -> list[Project]:
    """All projects below one, level by level."""
    below: list[Project] = []
    level = list(children(tx, [id]))
    while level:
        below += level
        level = list(children(tx, [child.id for child in level]))
    return below


def in_domain(tx: Session, domain_id: str) -> Sequence[Project]:
    """All projects of a domain, without itself."""
    return tx.scalars(query().where(Project.domain_id == domain_id)).all()


def tagged(found: sa.Select[Any], mode: str, names: Sequence[str]) -> sa.Select[Any]:
    """Narrow a query by tags; ``mode`` is the published parameter: tags, tags-any, not-tags, not-tags-any."""
    def has(name: str) -> sa.ColumnElement[bool]:
        return sa.exists().where(Tag.project_id == Project.id, Tag.name == name)
    some = [has(name) for name in names]
    together = sa.or_(*some) if mode.endswith('any') else sa.and_(*some)
    return found.where(~together if mode.startswith('not') else together)
