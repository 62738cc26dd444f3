"""The links of the compute API: ``self`` below the versioned URL, ``bookmark`` below the bare one."""

from typing import Any

from strata.rest import Request

_KEY = 'nova.links'


def bases(req: Request) -> tuple[str, str]:
    """The URLs that ``self`` and ``bookmark`` links of this request begin with.

    The project is part of a link if it was part of the request's URL.
    """
    found: tuple[str, str] | None = req.environ.get(_KEY)
    if found is None:
        project = req.environ.get('strata.project_prefix', '')
        root = req.application_url
        bare = root.rpartition('/')[0] if root != req.host_url else root
        found = req.environ[_KEY] = (root + project, bare + project)
    return found


def links(req: Request, collection: str, id: str) -> list[dict[str, str]]:
    """Both links of a resource, as the member ``links`` shows them."""
    here, bare = bases(req)
    return [{'rel': 'self', 'href': f'{here}/{collection}/{id}'},
            {'rel': 'bookmark', 'href': f'{bare}/{collection}/{id}'}]


def bookmark(req: Request, collection: str, id: str) -> dict[str, Any]:
    """``{"id": ..., "links": [bookmark]}``: how one resource refers to another."""
    return {'id': id, 'links': [{'rel': 'bookmark', 'href': f'{bases(req)[1]}/{collection}/{id}'}]}
