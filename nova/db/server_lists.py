"""Lists of servers: filters, order and pages, and what a page of them shows beside the rows.

A page costs a constant number of queries, however many servers are on it.
"""

import dataclasses
import datetime
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova.db.patterns import matches
from nova.db.ports import Address, Port, PortGroup
from nova.db.security_groups import SecurityGroup
from nova.db.servers import Server, ServerTag, visible
from strata import clock, errors
from strata.context import Context
from strata.db import Sort, keyset

#: what lists may be sorted by, under the names clients know
SORTS = {
    'access_ip_v4': Server.access_ip_v4, 'access_ip_v6': Server.access_ip_v6,
    'availability_zone': Server.availability_zone, 'config_drive': Server.config_drive,
    'created_at': Server.created_at, 'display_description': Server.description, 'display_name': Server.name,
    'host': Server.host, 'hostname': Server.hostname, 'image_ref': Server.image_id,
    'instance_type_id': Server.flavor_id, 'kernel_id': Server.kernel_id, 'key_name': Server.key_name,
    'launch_index': Server.launch_index, 'launched_at': Server.launched_at, 'locked': Server.locked_by,
    'locked_by': Server.locked_by, 'node': Server.node, 'power_state': Server.power_state,
    'progress': Server.progress, 'project_id': Server.project_id, 'ramdisk_id': Server.ramdisk_id,
    'root_device_name': Server.root_device_name, 'task_state': Server.task_state,
    'terminated_at': Server.terminated_at, 'updated_at': Server.updated_at, 'user_id': Server.user_id,
    'uuid': Server.id, 'vm_state': Server.vm_state, 'number': Server.number}

#: filters that compare a column with any of the values given
EQUAL = {
    'access_ip_v4': Server.access_ip_v4, 'access_ip_v6': Server.access_ip_v6,
    'availability_zone': Server.availability_zone, 'flavor': Server.flavor_id, 'host': Server.host,
    'image': Server.image_id, 'instance_type_id': Server.flavor_id, 'kernel_id': Server.kernel_id,
    'key_name': Server.key_name, 'locked_by': Server.locked_by, 'node': Server.node,
    'project_id': Server.project_id, 'ramdisk_id': Server.ramdisk_id,
    'reservation_id': Server.reservation_id, 'root_device_name': Server.root_device_name,
    'task_state': Server.task_state, 'user_id': Server.user_id, 'uuid': Server.id,
    'vm_state': Server.vm_state}
#: the same for whole numbers, and for times
NUMBERS = {'launch_index': Server.launch_index, 'power_state': Server.power_state,
           'progress': Server.progress}
TIMES = {'created_at': Server.created_at, 'launched_at': Server.launched_at,
         'terminated_at': Server.terminated_at}
#: filters that search a column for a regular expression
PATTERNS = {'name': Server.name, 'description': Server.description, 'hostname': Server.hostname}


#: columns that only the details of a server need
_LARGE = ('user_data', 'flavor', 'meta', 'request', 'fault_details')


@dataclasses.dataclass
class Wanted:
    """What a list asks for.  ``columns`` holds lists of values by name of a filter above."""

    columns: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    patterns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    project_id: str | None = None
    #: ``None``: deleted or not
    deleted: bool | None = False
    #: alternatives of (vm_state, task_states to have, task_states not to have)
    states: Sequence[tuple[str, frozenset[str], frozenset[str]]] | None = None
    changes_since: datetime.datetime | None = None
    changes_before: datetime.datetime | None = None
    ip: str | None = None
    ip6: str | None = None
    config_drive: bool | None = None
    locked: bool | None = None
    tags: Sequence[str] = ()
    tags_any: Sequence[str] = ()
    not_tags: Sequence[str] = ()
    not_tags_any: Sequence[str] = ()


def find(tx: Session, context: Context, wanted: Wanted, *, sorts: Sequence[Sort], marker: str | None = None,
         limit: int | None = None, details: bool = True) -> Sequence[Any]:
    """A page of servers; ``errors.Invalid`` for an unknown marker.

    They are rows that read as a ``Server`` does, without what no list shows: key and image; and, without
    ``details``, whatever else is large.
    """
    query = visible(context, deleted=True).where(*_conditions(wanted))
    after = None
    if marker is not None:
        after = tx.scalar(visible(context, deleted=True).where(Server.id == marker))
        if after is None:
            raise errors.Invalid('marker [{marker}] not found', marker=marker[:80])
    spared = {'key_data', 'image', *(() if details else _LARGE)}
    shown = [column for column in Server.__table__.c if column.name not in spared]
    return tx.execute(keyset(query.with_only_columns(*shown), sorts, after=after, limit=limit)).all()


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    conditions = [column.in_(list(wanted.columns[name])) for columns in (EQUAL, NUMBERS, TIMES)
                  for name, column in columns.items() if name in wanted.columns]
    conditions += [matches(PATTERNS[name], pattern, name) for name, pattern in wanted.patterns.items()]
    if wanted.project_id is not None:
        conditions.append(Server.project_id == wanted.project_id)
    if wanted.deleted is not None:
        conditions.append(Server.deleted.is_(wanted.deleted))
    if wanted.states is not None:
        conditions.append(sa.or_(sa.false(), *(_state(*state) for state in wanted.states)))
    changed = sa.func.coalesce(Server.updated_at, Server.created_at)
    if wanted.changes_since is not None:
        conditions.append(changed >= wanted.changes_since)
    if wanted.changes_before is not None:
        conditions.append(changed < clock.next_second(wanted.changes_before))
    if wanted.config_drive is not None:
        conditions.append(Server.config_drive.is_(wanted.config_drive))
    if wanted.locked is not None:
        conditions.append(Server.locked_by.is_not(None) if wanted.locked else Server.locked_by.is_(None))
    return [*conditions, *_address_conditions(wanted), *_tag_conditions(wanted)]


def _state(vm_state: str, having: frozenset[str], lacking: frozenset[str]) -> sa.ColumnElement[bool]:
    if having:
        return (Server.vm_state == vm_state) & Server.task_state.in_(sorted(having))
    if lacking:
        return (Server.vm_state == vm_state) & (
            Server.task_state.is_(None) | Server.task_state.not_in(sorted(lacking)))
    return Server.vm_state == vm_state


def _address_conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    conditions = []
    for pattern, field in ((wanted.ip, 'ip'), (wanted.ip6, 'ip6')):
        if pattern is not None:
            family = Address.ip_address.contains(':') if field == 'ip6' else ~Address.ip_address.contains(':')
            conditions.append(Server.id.in_(
                sa.select(Port.device_id).join(Address, Address.port_id == Port.id)
                .where(family, matches(Address.ip_address, pattern, field))))
    return conditions


def _tag_conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    def having(tags: Sequence[str]) -> Any:
        return sa.select(ServerTag.server_id).where(ServerTag.tag.in_(tags))
    conditions: list[sa.ColumnElement[bool]] = [Server.id.in_(having([tag])) for tag in wanted.tags]
    if wanted.tags_any:
        conditions.append(Server.id.in_(having(wanted.tags_any)))
    if wanted.not_tags:
        conditions.append(sa.not_(sa.and_(*(Server.id.in_(having([tag])) for tag in wanted.not_tags))))
    if wanted.not_tags_any:
        conditions.append(Server.id.not_in(having(wanted.not_tags_any)))
    return conditions


def groups_of(tx: Session, ids: Sequence[str]) -> dict[str, list[str]]:
    """The names of the security groups that each server's ports are in, in one query."""
    found: dict[str, list[str]] = {}
    for id, name in tx.connection().execute(_groups_of(), {'ids': list(ids)}):
        found.setdefault(id, []).append(name)
    return found


@functools.cache
def _groups_of() -> sa.Select[Any]:
    port, member, group = Port.__table__, PortGroup.__table__, SecurityGroup.__table__
    return (sa.select(port.c.device_id, group.c.name).distinct()
            .join_from(port, member, member.c.port_id == port.c.id)
            .join(group, group.c.id == member.c.security_group_id)
            .where(port.c.device_id.in_(sa.bindparam('ids', expanding=True))).order_by(group.c.name))


def used_by(tx: Session, project_id: str, user_id: str) -> dict[str, int]:
    """What a user's servers in a project use of its quotas."""
    flavors = tx.scalars(sa.select(Server.flavor).where(
        Server.project_id == project_id, Server.user_id == user_id, Server.deleted.is_(False))).all()
    return {'instances': len(flavors), 'cores': sum(flavor['vcpus'] for flavor in flavors),
            'ram': sum(flavor['ram'] for flavor in flavors)}


def count_tags(tx: Session, id: str) -> int:
    """How many tags a server has."""
    return tx.scalar(sa.select(sa.func.count()).where(ServerTag.server_id == id)) or 0


def on_hosts(tx: Session, hosts: Sequence[str]) -> dict[str, list[Any]]:
    """For each host its servers, as rows of what they may be named by, in one query."""
    rows = tx.execute(sa.select(Server.host, Server.number, Server.id, Server.hostname)
                      .where(Server.host.in_(list(hosts)), Server.deleted.is_(False)).order_by(Server.number))
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.host, []).append(row)
    return found
