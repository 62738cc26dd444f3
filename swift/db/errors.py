"""What can be wrong with a database, and is not the caller's fault."""

from strata import errors


class DatabaseMissing(errors.NotFound):
    """There is no such file, or it has just gone."""

    message = 'DB {path} does not exist.'


class DatabaseExists(errors.Conflict):
    """Another request has made it first."""

    message = 'DB {path} exists already.'


class DatabaseBusy(errors.Unavailable):
    """Other processes held it for longer than we wait."""

    message = 'DB {path} is locked.'


class DatabaseCorrupt(errors.NotFound):
    """It cannot be read and was moved aside, for replication to bring another copy."""

    message = 'Quarantined {path} to {quarantine} due to {reason}.'
