"""What can be wrong with a device."""

from strata import errors


class NotMounted(errors.Error):
    """The device is not there, not mounted, or named as no device may be."""

    status, message = 507, 'The device {device} is not mounted.'


class NoSpace(errors.Error):
    """The device, or the part of it that may be used, is full."""

    status, message = 507, 'The device {device} is full.'


class Locked(errors.Timeout):
    """Somebody else held a lock for too long."""

    message = 'The lock on {path} was not free within {seconds} s.'


class Unsafe(errors.Error, ValueError):
    """A pickle that would be more than plain values, or is no pickle at all."""

    message = 'not a pickle of plain values: {why}'


class PeerFailed(errors.Error):
    """A peer did not do as a replicator asked; its own replicator, or our next sweep, will see to it."""

    status, message = 502, '{peer} answered {answer}.'

    @property
    def lost_disk(self) -> bool:
        """Whether its device is gone, so that a handoff has to stand in."""
        return self.details['answer'] == 507
