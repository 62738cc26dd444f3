"""Whether content is what its image declares it to be.

The format is never guessed: what an image declares is held against what its
bytes say while they stream past, and content that could make a hypervisor
read other files (a qcow2 with a backing or data file, a VMDK with a foreign
extent) is refused.
"""

from collections.abc import Iterator
from typing import Any

from oslo_utils.imageutils import format_inspector

from strata import errors

#: what the inspectors may say of a format they have no inspector for: an opaque disk,
#: partitioned or encrypted perhaps, but nothing that refers to other files
OPAQUE = frozenset({'raw', 'gpt', 'luks'})
_INSPECTED = frozenset({'qcow2', 'vhd', 'vhdx', 'vmdk', 'vdi', 'iso'})
#: containers whose content is the disk itself
BARE = frozenset({'bare', 'ami', 'ari', 'aki'})


class Mismatch(errors.UnsupportedMedia):
    """The content is not what the image declares, or not safe to be opened."""

    message = 'Image content does not match its disk_format {declared}: {why}'


class Inspection:
    """The chunks of an upload, passed through while their format is looked at.

    ``strict`` also refuses bytes that no inspector knows where a known format
    is declared.
    """

    def __init__(self, chunks: Iterator[bytes], disk_format: str, container_format: str, *,
                 strict: bool = True) -> None:
        self.declared = disk_format
        self._bare = container_format in BARE
        self._strict = strict and self._bare
        expected = disk_format if self._strict and disk_format in _INSPECTED else None
        source: Any = chunks      # an iterator does where the annotation asks for a file
        self._wrapper = format_inspector.InspectWrapper(source, expected_format=expected)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._wrapper)
        except (StopIteration, errors.Error, OSError):
            raise
        except Exception as error:      # the inspector of the declared format gave up on the bytes
            raise Mismatch(declared=self.declared, why='it cannot be read as such.') from error

    def verdict(self) -> int | None:
        """The virtual size in bytes, if the format has one; ``Mismatch`` if the content is refused.

        To be called after the last chunk.
        """
        self._wrapper.close()
        found = {str(each): each for each in self._wrapper.formats or ()}
        names = frozenset(found)
        known = self.declared in _INSPECTED
        if known and self.declared in names and names <= {self.declared, *self._beside()}:
            return self._safe(found[self.declared])
        if names <= OPAQUE and not (known and self._strict):
            return self._opaque(found)
        raise Mismatch(declared=self.declared, why=f'it is {" and ".join(sorted(names))}.')

    def _beside(self) -> frozenset[str]:
        # an ISO 9660 image that boots from a disk has a partition table too
        return frozenset({'gpt'}) if self.declared == 'iso' else frozenset()

    def _opaque(self, found: dict[str, format_inspector.FileInspector]) -> int | None:
        if not self._bare or self.declared in _INSPECTED:
            return None
        return next(iter(found.values())).actual_size

    def _safe(self, inspector: format_inspector.FileInspector) -> int | None:
        try:
            inspector.safety_check()
        except format_inspector.SafetyCheckFailed as error:
            raise Mismatch(declared=self.declared,
                           why=f'it is refused as unsafe ({", ".join(sorted(error.failures))}).') from error
        except format_inspector.ImageFormatError as error:
            raise Mismatch(declared=self.declared, why='it is cut short or damaged.') from error
        return inspector.virtual_size if self._bare else None
