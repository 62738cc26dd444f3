"""Tags of network resources: short words an owner hangs on a network, subnet, port, router and the like."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, declared_attr, foreign, mapped_column, relationship

from nova.db.base import Base
from strata import db


class Tag(Base):
    """One tag of one resource; the ids are UUIDs, so the kind of resource need not be told."""

    __tablename__ = 'network_tags'

    resource_id: Mapped[str] = mapped_column(db.Id, primary_key=True)
    tag: Mapped[str] = mapped_column(sa.String(255), primary_key=True)


class Tagged:
    """A model whose rows carry tags."""

    @declared_attr
    def tag_rows(cls) -> Mapped[list[Tag]]:
        return relationship(Tag, primaryjoin=lambda: foreign(Tag.resource_id) == cls.id,      # type: ignore
                            viewonly=True, lazy='raise', order_by=Tag.tag)

    @property
    def tags(self) -> list[str]:
        """The tags in alphabetical order."""
        return [row.tag for row in self.tag_rows]


def replace(tx: Session, resource_id: str, tags: Iterable[str]) -> None:
    """Make these the tags of a resource, and none but these."""
    clear(tx, resource_id)
    tx.add_all(Tag(resource_id=resource_id, tag=tag) for tag in sorted(set(tags)))
    tx.flush()


def add(tx: Session, resource_id: str, tag: str) -> None:
    """Hang one tag on a resource; one that it has already is a success."""
    if tx.get(Tag, (resource_id, tag)) is None:
        tx.add(Tag(resource_id=resource_id, tag=tag))
        tx.flush()


def remove(tx: Session, resource_id: str, tag: str) -> bool:
    """Take one tag away; whether it was there."""
    gone = tx.execute(sa.delete(Tag).where(Tag.resource_id == resource_id, Tag.tag == tag))
    return bool(gone.rowcount)      # type: ignore[attr-defined]


def clear(tx: Session, resource_id: str) -> None:
    """Take all tags away."""
    tx.execute(sa.delete(Tag).where(Tag.resource_id == resource_id))


def condition(model: Any, mode: str, tags: Sequence[str]) -> sa.ColumnElement[bool]:
    """Rows of ``model`` by their tags; ``mode`` is tags, tags-any, not-tags or not-tags-any."""
    words = list(dict.fromkeys(tags))
    matching = sa.select(sa.func.count()).where(Tag.resource_id == model.id, Tag.tag.in_(words))
    count = matching.correlate(model).scalar_subquery()
    wanted = count == len(words) if mode.endswith('tags') else count > 0
    return sa.not_(wanted) if mode.startswith('not-') else wanted
