"""What nobody else finishes: uploads whose process died, data that nobody wants any more.

Takes no input, is idempotent, and may run on several hosts at once.  The
periodic run is the retry of everything in here.
"""

import logging

from glance.registry.interface import Blob
from glance.wiring import Wiring
from strata import errors
from strata.context import Context, background

LOG = logging.getLogger(__name__)


def run_once(wiring: Wiring) -> int:
    """Queue the images of dead uploads again and remove doomed data; how many blobs were removed."""
    context = background('glance')
    late = wiring.registry.expire(context)
    if late:
        LOG.warning('%s uploads whose lease ran out were given up', late)
    return sum(remove(wiring, context, blob) for blob in wiring.registry.doomed(context))


def remove(wiring: Wiring, context: Context, blob: Blob) -> bool:
    """Remove a doomed blob from its store, then its row; whether that worked (else the next run tries)."""
    store = wiring.stores.get(blob.store)
    if store is None:
        LOG.warning('blob %s is in store %s, which is not configured here', blob.id, blob.store)
        return False
    try:
        store.delete(blob.id)
        wiring.registry.forget(context, blob.id)
    except errors.Error as error:
        LOG.warning('blob %s could not be removed: %s', blob.id, error)
        return False
    return True
