"""Which storage policy a container has when two replicas of it say different things."""

from collections.abc import Mapping
from typing import Any

from swift.timestamp import Timestamp


def winner(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of two rows about a container, the one whose policy counts; the same whichever comes first.

    A container that the other has seen deleted since it was made counts for
    nothing; of two that live, the one made first, for it may hold objects
    already.  (``status_changed_at`` is when it was made, or made again.)
    """
    return min((one, other), key=lambda info: _rank(info, other if info is one else one))


def _rank(info: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[bool, Timestamp, int]:
    made = Timestamp(info['status_changed_at'] or 0)
    dead = Timestamp(info['delete_timestamp']) > Timestamp(info['put_timestamp']) and not info['object_count']
    superseded = made <= Timestamp(other['delete_timestamp'] or 0)
    return dead or superseded, made, int(info['storage_policy_index'])
