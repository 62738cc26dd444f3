"""Regions, services and endpoints: making, changing and removing them."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from keystone import catalog as shown
from keystone import changes
from keystone.db import catalog, revisions
from keystone.db.base import new_id
from keystone.db.catalog import Endpoint, Region, Service
from keystone.wiring import Wiring
from strata import errors
from strata.db import retried

MODELS: dict[str, Any] = {'region': Region, 'service': Service, 'endpoint': Endpoint}


def query(model: Any) -> sa.Select[Any]:
    """All of a kind."""
    return sa.select(model)


@retried
def create(wiring: Wiring, noun: str, *, extra: dict[str, Any], id: str | None = None, **values: Any) -> Any:
    """A new region, service or endpoint (``noun``)."""
    row = MODELS[noun](id=id or new_id(), extra=extra)
    with changes.unique(noun, row.id), wiring.changing(revisions.CATALOG) as tx:
        _put(tx, row, values)
        if row.extra is None:
            row.extra = {}
        tx.add(row)
    return row


@retried
def update(wiring: Wiring, noun: str, id: str, *, extra: dict[str, Any], **values: Any) -> Any:
    """Change one."""
    with changes.unique(noun, id), wiring.changing(revisions.CATALOG) as tx:
        row = changes.found(tx.get(MODELS[noun], id), noun, id)
        _put(tx, row, values)
        row.extra = changes.merged(row.extra, extra)
    return row


def _put(tx: Session, row: Any, values: dict[str, Any]) -> None:
    """Set what is said, once it refers to things that are there."""
    if isinstance(row, Endpoint):
        _name_region(tx, values)
        _check_endpoint(tx, values)
    parent = values.get('parent_region_id')
    if parent is not None:
        _check_parent(tx, row.id, parent)
    if isinstance(row, Region) and 'description' in values:
        values['description'] = values['description'] or ''
    for key, value in values.items():
        setattr(row, key, value)
    if isinstance(row, Region) and row.description is None:
        row.description = ''
    if not isinstance(row, Region) and row.enabled is None:
        row.enabled = True


def _name_region(tx: Session, values: dict[str, Any]) -> None:
    """``region``, the older word for ``region_id``, may name a region that is not there yet."""
    legacy = values.pop('region', None)
    if not legacy or 'region_id' in values:
        return
    values['region_id'] = legacy
    if tx.get(Region, legacy) is None:
        tx.add(Region(id=legacy, description='', extra={}))
        tx.flush()


def _check_endpoint(tx: Session, values: dict[str, Any]) -> None:
    if 'url' in values:
        shown.check_url(values['url'])
    if 'service_id' in values and tx.get(Service, values['service_id']) is None:
        raise errors.Invalid('Could not find service: {id}.', id=values['service_id'])
    region_id = values.get('region_id')
    if region_id is not None and tx.get(Region, region_id) is None:
        raise errors.Invalid('Could not find region: {id}.', id=region_id[:80])


def _check_parent(tx: Session, id: str, parent_id: str) -> None:
    """A region's parents are there, and it is none of them."""
    parent = changes.found(tx.get(Region, parent_id), 'region', parent_id)
    while parent is not None:
        if parent.id == id:
            raise errors.Invalid('A region cannot be below itself.')
        parent = tx.get(Region, parent.parent_region_id) if parent.parent_region_id else None


@retried
def delete(wiring: Wiring, noun: str, id: str) -> None:
    """Remove one; a service goes with its endpoints, a region only when nothing is in it."""
    with changes.unique(noun, id), wiring.changing(revisions.CATALOG) as tx:
        row = changes.found(tx.get(MODELS[noun], id), noun, id)
        if isinstance(row, Region):
            used = tx.scalar(sa.select(Endpoint.id).where(Endpoint.region_id == id).limit(1))
            if used is not None or catalog.subregions(tx, id):
                raise errors.Forbidden('Unable to delete region {id} because it or its child regions have '
                                       'associated endpoints.', id=id)
        tx.delete(row)
