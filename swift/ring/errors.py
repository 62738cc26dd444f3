"""What can be wrong with a ring, a builder or a device; each message is fit for an operator."""


class RingError(Exception):
    """The ring cannot be built, read or changed as asked."""


class DeviceError(RingError):
    """A device is described badly, is there twice, or is not there."""


class FileError(RingError):
    """A ring or builder file is missing, damaged or of an unknown format."""
