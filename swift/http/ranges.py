"""The Range header: which bytes of a body are wanted (RFC 9110, section 14)."""

#: what one request may ask for; more costs a server more than it helps a client
MAX_RANGES = 50
MAX_OVERLAPS = 2
MAX_NOT_ASCENDING = 8

Span = tuple[int | None, int | None]


def parse(header: str | None) -> list[Span] | None:
    """(first, last) pairs as they were asked for; ``(None, n)`` are the last ``n`` bytes.

    ``None`` for a header that is to be ignored because it is malformed.
    """
    if not header:
        return None
    unit, equals, text = header.partition('=')
    if not equals or unit.strip() != 'bytes':
        return None
    spans: list[Span] = []
    for piece in text.split(','):
        start, dash, end = piece.strip().partition('-')
        start, end = start.strip(), end.strip()
        if not dash or not (start or end) or not all(not each or (each.isascii() and each.isdecimal())
                                                     for each in (start, end)):
            return None
        # no body is that long; int() of thousands of digits would be slow
        if len(start) > 30 or len(end) > 30:
            return None
        first, last = (int(start) if start else None, int(end) if end else None)
        if first is not None and last is not None and last < first:
            return None
        spans.append((first, last))
    return spans


def within(spans: list[Span] | None, length: int | None) -> list[tuple[int, int]] | None:
    """(start, stop) pairs of a body of ``length`` bytes, stop excluded.

    ``None``: send the whole body.  Empty: nothing of it can be sent (416), or
    more was asked for than is sane (too many, overlapping, out of order).
    """
    if spans is None or length is None:
        return None
    found = []
    for first, last in spans:
        if first is None:
            assert last is not None
            if last:
                found.append((max(length - last, 0), length))
        elif first < length:
            found.append((first, length if last is None else min(last + 1, length)))
    found = [(start, stop) for start, stop in found if start < stop] if length else []
    if len(found) > MAX_RANGES:
        return []
    ordered = sorted(found)
    overlaps = sum(1 for one, other in zip(ordered, ordered[1:]) if one[1] > other[0])
    turns = sum(1 for one, other in zip(found, found[1:]) if other[0] < one[0])
    if overlaps > MAX_OVERLAPS or turns > MAX_NOT_ASCENDING:
        return []
    return found
