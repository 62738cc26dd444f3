"""Revision numbers: counting the changes of a row, and refusing those that meant another revision."""

from collections.abc import Mapping
from typing import Any

from nova.network import faults


def check(row: Any, expected: int | None) -> None:
    """Raise ``RevisionNumberConstraintFailed`` if the caller had another revision in mind."""
    if expected is not None and row.revision_number != expected:
        raise faults.RevisionNumberConstraintFailed(expected=expected, current=row.revision_number)


def revise(row: Any, values: Mapping[str, Any]) -> None:
    """Write changed values to a locked row and count the revision."""
    for name, value in values.items():
        setattr(row, name, value)
    row.revision_number += 1
