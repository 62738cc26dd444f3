"""Host names made of display names."""

import re
import unicodedata


def sanitized(name: str, default: str) -> str:
    """A valid DNS label (or dotted name) of at most 63 characters, or ``default`` if nothing is left."""
    plain = unicodedata.normalize('NFKD', name).encode('ascii', 'ignore').decode().lower()
    label = re.sub(r'[^a-z0-9.-]', '', re.sub(r'[ _]', '-', plain)).strip('-.')
    return re.sub(r'\.{2,}', '.', label)[:63].strip('-.') or default
