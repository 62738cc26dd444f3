"""Moving what is broken out of the way: it is kept for an operator to look at, and never served again."""

import errno
import logging
import os
import uuid

LOG = logging.getLogger(__name__)


def move(device_path: str, directory: str, kind: str) -> str:
    """Rename a directory to ``quarantined/<kind>/<its name>`` of its device; returns where it is now.

    ``kind`` is where it comes from (``objects-1``, ``containers``).  Raises ``OSError``.
    """
    target = os.path.join(device_path, 'quarantined', kind, os.path.basename(directory))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        os.rename(directory, target)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR):
            raise
        target = f'{target}-{uuid.uuid4().hex}'
        os.rename(directory, target)
    LOG.warning('quarantined %s to %s', directory, target)
    return target
