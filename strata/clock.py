"""Time, so that tests can hold it still.

Wall-clock times are aware UTC datetimes.  Decisions between hosts (leases,
heartbeats) never use this clock but the database's (``Database.now``).
"""

import datetime
import time
import uuid

UTC = datetime.timezone.utc


class Clock:
    """The real clock; a test passes ``strata.testing.clock.FrozenClock`` in its place."""

    def now(self) -> datetime.datetime:
        """The time of day, aware, in UTC, to the microsecond."""
        return datetime.datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()


CLOCK = Clock()


def iso(moment: datetime.datetime | None) -> str | None:
    """``2026-11-22T18:00:00Z``, the form that compute and image bodies use."""
    return moment.isoformat(timespec='seconds')[:19] + 'Z' if moment else None


def iso_micro(moment: datetime.datetime | None) -> str | None:
    """``2026-11-22T18:00:00.000000``: the zoneless form of compute's admin resources."""
    return moment.isoformat(timespec='microseconds')[:26] if moment else None


def next_second(moment: datetime.datetime) -> datetime.datetime:
    """Where the second ends that ``moment`` is in: times are shown in whole ones, and compared with what was shown."""
    return moment.replace(microsecond=0) + datetime.timedelta(seconds=1)


def parse(text: str) -> datetime.datetime:
    """An aware UTC datetime from any ISO 8601 form; one without a zone is taken as UTC.

    Raises ``ValueError`` if the text is no time.
    """
    moment = datetime.datetime.fromisoformat(text.strip().replace(' ', 'T', 1))
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:      # in UTC it would be before the year 1, or after 9999
        raise ValueError(str(error)) from error


def new_uuid() -> str:
    """A random UUID in its dashed form, 36 characters."""
    return str(uuid.uuid4())
