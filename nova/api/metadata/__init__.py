"""The metadata service: tells a server about itself, known by the network it asks on and its address."""

from nova.api.metadata.service import Metadata

__all__ = ['Metadata']
