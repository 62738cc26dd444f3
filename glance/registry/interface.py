"""What glance-api asks of the registry, and the plain values that come back.

Two implementations, ``Local`` (same process) and ``Remote`` (HTTP), are held
to one contract suite.  Values are plain data, so that both give the same.
Every method takes the caller's context first: the registry decides what it
may see; what it may do is the API's policy.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from strata.context import Context


@dataclasses.dataclass(frozen=True)
class Image:
    """An image as the API works with it; times are ISO texts, ``blob`` says where its data is."""

    id: str
    name: str | None
    status: str
    visibility: str
    owner: str | None
    size: int | None
    virtual_size: int | None
    disk_format: str | None
    container_format: str | None
    checksum: str | None
    os_hash_algo: str | None
    os_hash_value: str | None
    min_disk: int
    min_ram: int
    protected: bool
    os_hidden: bool
    created_at: str
    updated_at: str
    properties: dict[str, str | None]
    tags: list[str]
    #: the asking project, if the image is shared with it
    member_id: str | None = None
    #: {'id', 'store', 'size'} of the stored data
    blob: dict[str, Any] | None = None

    def target(self) -> dict[str, Any]:
        """What policy rules are checked against; an image of nobody is no unscoped caller's own."""
        return {'project_id': self.owner or '', 'owner': self.owner or '', 'tenant': self.owner or '',
                'member_id': self.member_id or '', 'visibility': self.visibility, 'status': self.status}


@dataclasses.dataclass(frozen=True)
class Member:
    """A project an image is shared with."""

    image_id: str
    member_id: str
    status: str
    created_at: str
    updated_at: str


@dataclasses.dataclass(frozen=True)
class Blob:
    """An attempt to store data, or data to be removed."""

    id: str
    image_id: str
    store: str
    purpose: str
    state: str
    size: int | None = None


@dataclasses.dataclass
class Search:
    """A page of a list: see ``glance.db.images.search``."""

    conditions: list[list[Any]] = dataclasses.field(default_factory=list)
    properties: dict[str, str] = dataclasses.field(default_factory=dict)
    tags: list[str] = dataclasses.field(default_factory=list)
    visibility: str | None = None
    member_status: str = 'accepted'
    sorts: list[list[str]] = dataclasses.field(
        default_factory=lambda: [['created_at', 'desc'], ['id', 'desc']])
    marker: str | None = None
    limit: int | None = None


class Registry(ABC):
    """The keeper of images' metadata.

    Every method raises ``errors.NotFound`` for an image the caller may not
    know of, and ``errors.Conflict`` when the image's state forbids it.
    """

    @abstractmethod
    def create(self, context: Context, *, values: Mapping[str, Any], properties: Mapping[str, str | None],
               tags: Sequence[str]) -> Image:
        """Record a new image, queued."""

    @abstractmethod
    def get(self, context: Context, id: str) -> Image:
        """One image."""

    @abstractmethod
    def search(self, context: Context, search: Search) -> list[Image]:
        """A page of images; ``errors.Invalid`` for an unknown marker."""

    @abstractmethod
    def update(self, context: Context, id: str, *, values: Mapping[str, Any] = {},
               properties: Mapping[str, str | None] = {}, removed: Sequence[str] = (),
               tags: Sequence[str] | None = None, expect: Mapping[str, Any] = {},
               limits: Mapping[str, int] = {}) -> Image:
        """Change attributes, properties and (if given) all tags, if ``expect`` still holds.

        ``limits`` bounds how many ``properties`` and ``tags`` the image may
        have then (``errors.TooLarge``; a negative limit is none).
        """

    @abstractmethod
    def delete(self, context: Context, id: str) -> None:
        """Mark an image deleted and doom its data; ``errors.Forbidden`` if it is protected."""

    @abstractmethod
    def add_tag(self, context: Context, id: str, tag: str, limit: int) -> None:
        """Tag an image; a tag it has is a success."""

    @abstractmethod
    def remove_tag(self, context: Context, id: str, tag: str) -> None:
        """Remove a tag; ``errors.NotFound`` if it is not there."""

    @abstractmethod
    def members(self, context: Context, id: str, *, only: str | None = None) -> list[Member]:
        """The members of an image."""

    @abstractmethod
    def member(self, context: Context, id: str, member_id: str) -> Member:
        """One member of an image."""

    @abstractmethod
    def add_member(self, context: Context, id: str, member_id: str, limit: int) -> Member:
        """Share an image; ``errors.Conflict`` if it is already, ``errors.TooLarge`` beyond the limit."""

    @abstractmethod
    def set_member(self, context: Context, id: str, member_id: str, status: str) -> Member:
        """Accept or reject an image, or take it back to pending."""

    @abstractmethod
    def remove_member(self, context: Context, id: str, member_id: str) -> None:
        """Share an image no longer."""

    @abstractmethod
    def begin(self, context: Context, id: str, *, store: str, purpose: str, lease: float,
              size: int | None = None) -> Blob:
        """Start an attempt to store data.

        ``purpose`` 'data' moves a queued image to saving (one staged for import
        to importing), 'stage' moves a queued one to uploading.  ``lease`` is how
        long, in seconds, the writer may be silent.
        """

    @abstractmethod
    def renew(self, context: Context, blob_id: str, lease: float) -> None:
        """The writer is alive; ``errors.Fenced`` if the attempt was taken from it."""

    @abstractmethod
    def finish(self, context: Context, blob_id: str, *, size: int,
               values: Mapping[str, Any] = {}) -> Image:
        """The data is durable: make the image active (or leave it staged).  ``errors.Fenced`` as above."""

    @abstractmethod
    def abandon(self, context: Context, blob_id: str, *, fully: bool = False) -> bool:
        """Give an attempt up: the image goes back to where it was (``fully``: to queued, staged data too).

        Returns whether the attempt's data is to be removed; it is not if the
        attempt had come through before.
        """

    @abstractmethod
    def staged(self, context: Context, id: str) -> Blob:
        """The data staged for an import; ``errors.Conflict`` if there is none."""

    @abstractmethod
    def expire(self, context: Context) -> int:
        """Abandon all attempts whose lease ran out; how many there were."""

    @abstractmethod
    def doomed(self, context: Context, limit: int = 100) -> list[Blob]:
        """Data that stores shall remove."""

    @abstractmethod
    def forget(self, context: Context, blob_id: str) -> None:
        """The store holds nothing of a doomed blob any more."""
