"""The resources of the Image API v2, a file each; paths are below ``/v2``."""

from glance.api.v2 import actions, data, images, imports, info, members, schemas, tags  # noqa: F401  (wiring only)
