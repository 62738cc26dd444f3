"""What happened to many things at once: the published report, as text, JSON or XML.

A long operation answers 200 or 202 at once, sends a space now and then so that
nobody thinks it dead, and tells the outcome in a report at the end.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from xml.sax import saxutils

from strata import green
from swift.http import Request, Response
from swift.http.accept import best
from swift.http.response import TEXTS, HttpError, status_line

TYPES = ('text/plain', 'application/json', 'application/xml', 'text/xml')
#: between spaces and the report: the spaces are a line, and an empty one follows
GAP = b'\r\n\r\n'

LOG = logging.getLogger(__name__)

Errors = Iterable[tuple[str, str]]


def acceptable(request: Request) -> str | None:
    """The form the client likes best; ``None`` if it likes none of them."""
    try:
        return best(request.headers.get('Accept'), TYPES)
    except ValueError:
        return None


def write(kind: str | None, values: Mapping[str, str | int], errors: Errors, root: str) -> bytes:
    """The report: ``values`` by their published names, ``errors`` as (quoted path, status line)."""
    if kind == 'application/json':
        return json.dumps({**values, 'Errors': [list(each) for each in errors]}).encode()
    ordered = sorted(values.items())
    if kind and kind.endswith('/xml'):
        lines = [f'<{root}>']
        for name, value in ordered:
            tag = name.replace(' ', '_').lower()
            lines.append(f'<{tag}>{saxutils.escape(str(value))}</{tag}>')
        lines.append('<errors>')
        lines += [f'<object><name>{saxutils.escape(name)}</name><status>{saxutils.escape(status)}</status></object>'
                  for name, status in errors]
        return '\n'.join([*lines, '</errors>', f'</{root}>', '']).encode()
    lines = [f'{name}: {value}' for name, value in ordered]
    return '\n'.join([*lines, 'Errors:', *(f'{name}, {status}' for name, status in errors), '']).encode()


def sentence(error: HttpError | Response) -> str:
    """The body of a refusal, as a report tells it."""
    if error.status in TEXTS:
        body = error.body if isinstance(error, HttpError) else None
        if not body:
            return '\n'.join(filter(None, TEXTS[error.status]))
        return body.decode('utf-8', 'replace') if isinstance(body, bytes) else body
    return status_line(error.status)


def beating(work: Callable[[], bytes], every: float, at_once: bool = False) -> Iterator[bytes]:
    """Do ``work``; a space each ``every`` seconds until it is done, then what it returns.

    ``at_once``: the first space goes out before anything is done.  Abandoned, it kills the work.
    """
    worker = green.spawn(work)
    gap = b''
    try:
        if at_once:
            yield b' '
            gap = GAP
        while True:
            try:
                outcome = worker.wait(every or None)
                break
            except TimeoutError:
                yield b' '
                gap = GAP
        yield gap + outcome
    finally:
        worker.kill()
