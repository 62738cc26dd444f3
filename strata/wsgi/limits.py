"""How much one client may ask of the server."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds; a request beyond a limit is answered, then its connection closes."""

    #: connections at a time; more wait in the kernel's queue
    connections: int = 1000
    #: the request line: method, target and version (414)
    line: int = 16 * 1024
    #: all header lines together, and how many there may be (431)
    header_bytes: int = 64 * 1024
    headers: int = 128
    #: the body, with a length or chunked (413); ``None``: the application decides
    body: int | None = None
    #: from the first byte of a request to the end of its head (408)
    header_time: float = 30.0
    #: between two requests of a connection
    idle_time: float = 75.0
    #: between two reads of a body that bring something (408)
    body_time: float = 60.0
    #: bytes per second that a body must bring in the long run, while we wait for it (408); 0: any
    body_rate: float = 1024.0
    #: how much longer than at that rate a body may make us wait; no less than ``body_time``
    body_grace: float = 120.0
    #: between two writes of a response that take something
    write_time: float = 60.0
    #: what of an unread body is read away to keep the connection
    drain: int = 64 * 1024

    def __post_init__(self) -> None:
        grace = max(self.body_grace, self.body_time) if self.body_rate else float('inf')
        object.__setattr__(self, 'body_grace', grace)

    def tick(self) -> float:
        """How often time-outs are looked at."""
        shortest = min(self.header_time, self.idle_time, self.body_time, self.write_time)
        return max(0.01, min(1.0, shortest / 4))
