"""The applications of nova's APIs, as paste factories, each bound to the wiring of its process."""

from typing import Any

from nova.api import compute, network
from nova.api.compute import versions
from nova.api.metadata import Metadata
from strata.wsgi import pipeline


def compute_versions(global_conf: dict[str, str], **options: str) -> Any:
    """paste: the versions of the compute API, at ``/``."""
    return versions.root.bind(pipeline.current())


def compute_app(global_conf: dict[str, str], **options: str) -> Any:
    """paste: the compute API, at ``/v2.1``."""
    return compute.app.bind(pipeline.current())


def network_versions(global_conf: dict[str, str], **options: str) -> Any:
    """paste: the versions of the network API, at ``/``."""
    return network.versions_app.bind(pipeline.current())


def network_app(global_conf: dict[str, str], **options: str) -> Any:
    """paste: the network API, at ``/v2.0``."""
    return network.app.bind(pipeline.current())


def metadata_app(global_conf: dict[str, str], **options: str) -> Any:
    """paste: the metadata service."""
    return Metadata(pipeline.current())
