"""Imports: staged data is looked at and made the image's own, beside the request that asked for it.

``glance-direct`` is the one method built.  A process that dies on the way
leaves an attempt whose lease runs out: the image is then back at
``uploading`` with its staged data whole, and the import can be asked for
again.  Data that is refused puts the image back to ``queued``.
"""

import logging

from glance import sweep, uploads
from glance.registry.interface import Blob, Image
from glance.uploads import Attempt
from glance.wiring import Wiring
from strata import errors, green
from strata.context import Context

LOG = logging.getLogger(__name__)
#: methods that are built; the operator may turn them off
METHODS = ('glance-direct',)


def methods(wiring: Wiring) -> list[str]:
    """The import methods on offer."""
    return [name for name in METHODS if name in wiring.conf.enabled_import_methods]


def start(wiring: Wiring, context: Context, image: Image, method: str, store: str | None = None) -> None:
    """Begin an import into ``store`` (or the default one) and return; the image's status tells how it goes on.

    Raises ``errors.Invalid`` for a method not on offer and ``errors.Conflict``
    if there is no staged data.
    """
    if method not in methods(wiring):
        raise errors.Invalid("Unknown import method name '{method}'.", method=method[:80])
    if image.status != 'uploading':
        raise errors.Conflict("Only images with status 'uploading' can be imported by {method}; this one is "
                              '{status}.', method=method, status=image.status)
    uploads.writable(image)
    staged = wiring.registry.staged(context, image.id)
    attempt = uploads.begin(wiring, context, image.id, 'data', staged.size, store)
    green.spawn(_run, attempt, image, staged)


def _run(attempt: Attempt, image: Image, staged: Blob) -> None:
    wiring = attempt.wiring
    try:
        with uploads.guarded(attempt):
            try:
                chunks = wiring.stores[staged.store].read(staged.id)
                values = uploads.pour(attempt, image, chunks, staged.size)
                wiring.registry.finish(attempt.context, attempt.blob.id, size=values.pop('size'),
                                       values=values)
            except (errors.UnsupportedMedia, errors.TooLarge, errors.Invalid, errors.NotFound):
                wiring.registry.abandon(attempt.context, attempt.blob.id, fully=True)
                raise
    except errors.Error as error:
        LOG.warning('the import of image %s failed: %s', image.id, error)
    sweep.run_once(wiring)
