"""Uploads from a web page's form, whose fields say what may be uploaded and are signed with a key of the account.

    [filter:formpost]
    use = egg:swift#formpost
    allowed_digests = sha1 sha256 sha512

The form's address is a container, or a prefix in it, to which the names of the
files are appended.  The signature is over ``PATH\\nREDIRECT\\nMAX_FILE_SIZE\\n
MAX_FILE_COUNT\\nEXPIRES``; those fields, and ``x_delete_at``, ``x_delete_after``,
``content-type`` and ``content-encoding``, must come before the first file.
Files are sent on as they arrive.
"""

import html
import time
import urllib.parse
from collections.abc import Callable, Iterable
from typing import Any

from strata.wsgi.body import BodyError, ClientDisconnected
from swift import conf as confs
from swift.http import info
from swift.http.application import serving
from swift.http.request import Request
from swift.http.response import HttpError, Response, status_line
from swift.http.subrequest import make_pre_authed_env
from swift.middleware import multipart, signatures

USER = '.wsgi.formpost'
#: bytes of one field that are looked at
VALUE = 4096
#: fields that are no files
FIELDS = 100

# sha1, which old pages sign with, is not refused as it is for addresses: a form opens nothing to readers
OPTIONS = {'allowed_digests': confs.Option(confs.words, list(signatures.ALGORITHMS), 'algorithms of signatures')}


class FormPost:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._digests = frozenset(conf.allowed_digests)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ['REQUEST_METHOD'] != 'POST' or not environ.get('CONTENT_TYPE', '').startswith('multipart/form-data'):
            return self.app(environ, start_response)
        return self._serve(environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        mark = multipart.boundary(request.environ['CONTENT_TYPE'])
        if mark is None:
            return self.app
        try:
            return self._upload(request, multipart.Body(request.input, mark))
        except multipart.Malformed as error:
            raise wrong(str(error)) from error
        except BodyError as error:
            raise HttpError(499 if isinstance(error, ClientDisconnected) else error.status) from error

    def _upload(self, request: Request, body: Iterable[multipart.Part]) -> Response:
        fields: dict[str, bytes] = {}
        form: Form | None = None
        seen = stored = 0
        for part in body:
            if part.filename is None:
                seen += 1
                if seen > FIELDS:
                    raise wrong('too many fields')
                if form is None:
                    fields[part.name.lower()] = _value(part)
                continue
            if not part.filename:
                continue
            form = form or self._checked(request, fields)
            if stored >= form.max_count:
                return form.answer(400, 'FormPost: Max File Count Exceeded')
            status = self._store(request, form, part)
            if not 200 <= status < 300:
                return form.answer(status)
            stored += 1
        if form is None:
            return plain(400, 'FormPost: No Files To Process')
        return form.answer(201)

    def _checked(self, request: Request, fields: dict[str, bytes]) -> 'Form':
        """The form, if its signature and numbers are right."""
        try:
            _, account, container, _ = request.split(3, 4, True)
        except ValueError:
            raise _refused('Invalid Signature') from None
        form = Form(fields)
        if form.expires < time.time():
            raise _refused('Form Expired')
        message = b'\n'.join([request.path.encode('latin-1'), *(fields.get(name, b'') for name in (
            'redirect', 'max_file_size', 'max_file_count', 'expires'))])
        try:
            algorithm, digest = signatures.parse(fields.get('signature', b'').decode('latin-1'))
        except ValueError:
            raise _refused('Invalid Signature') from None
        key = None
        if algorithm in self._digests and 'max_file_size' in fields:
            key = signatures.signer(signatures.keys(request.environ, self.app), [message], algorithm, digest)
        if key is None:
            raise _refused('Invalid Signature')
        form.account, form.container = account, container if key[1] else None
        return form

    def _store(self, request: Request, form: 'Form', part: multipart.Part) -> int:
        """Send one file on; the status of its PUT.  Raises ``HttpError`` if it is larger than the form allows."""
        path = request.path
        if path.count('/') < 4 and not path.endswith('/'):
            path += '/'
        made = make_pre_authed_env(request.environ, method='PUT', path=path + (part.filename or ''),
                                   agent='%(orig)s FormPost', source='FP')
        signatures.authorize(made, USER, form.account, form.container)
        for name, key, default in (('content-type', 'CONTENT_TYPE', 'text/plain'),
                                   ('content-encoding', 'HTTP_CONTENT_ENCODING', '')):
            value = form.text(name) or part.headers.get(name) or default
            if value:
                made[key] = value
        made.update(form.expiry)
        made['HTTP_TRANSFER_ENCODING'] = 'chunked'
        made.pop('CONTENT_LENGTH', None)
        file = made['wsgi.input'] = _File(part, form.max_size)
        try:
            answer = Response.of(self.app, made)
            answer.drain()
        except Exception:
            if file.error is None:
                raise
        if file.error is not None:
            raise file.error
        return answer.status


class Form:
    """The fields of a form.  Raises ``HttpError`` for those that make no sense."""

    def __init__(self, fields: dict[str, bytes]) -> None:
        self._fields = fields
        self.account = ''
        self.container: str | None = None
        self.expires = self._number('expires', 'expired not an integer')
        self.max_size = self._number('max_file_size', 'max_file_size not an integer')
        self.max_count = self._number('max_file_count', 'max_file_count not an integer')
        self.redirect = self.text('redirect')
        #: environ keys of the files' expiry
        self.expiry: dict[str, str] = {}
        for name, wanted in (('x_delete_at', 'Unix timestamp'), ('x_delete_after', 'Number of seconds')):
            if fields.get(name):
                number = self._number(name, f'{name} not an integer: {wanted} required.')
                self.expiry[f'HTTP_{name.upper()}'] = str(number)

    def text(self, name: str) -> str:
        """A field as a WSGI string, without what would end a header."""
        value = self._fields.get(name, b'').decode('latin-1').strip()
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            raise wrong(f'{name} has control characters')
        return value

    def _number(self, name: str, complaint: str) -> int:
        value = self._fields.get(name, b'').strip() or b'0'
        digits = value.removeprefix(b'-')
        if not digits.isdigit() or len(digits) > 20:
            raise wrong(complaint)
        return int(value)

    def answer(self, status: int, message: str = '') -> Response:
        """To the browser: a redirection if the form asks for one."""
        if not self.redirect:
            return plain(status, message)
        query = urllib.parse.urlencode({'status': status, 'message': message}, quote_via=urllib.parse.quote)
        to = self.redirect + ('&' if '?' in self.redirect else '?') + query
        page = f'<html><body><p><a href="{html.escape(to)}">Click to continue...</a></p></body></html>'
        return Response(303, page.encode('latin-1'), {'Location': to, 'Content-Type': 'text/html; charset=UTF-8'})


class _File:
    """``wsgi.input`` of a PUT: the body of a part, as long as it is not too long."""

    def __init__(self, part: multipart.Part, limit: int) -> None:
        self._part = part
        self._left = limit
        #: why it could not be read to its end
        self.error: HttpError | None = None

    def read(self, size: int = -1) -> bytes:
        """A piece."""
        try:
            piece = self._part.read(size if 0 <= size < multipart.CHUNK else multipart.CHUNK)
        except multipart.Malformed as error:
            self.error = wrong(str(error))
            raise self.error from error
        self._left -= len(piece)
        if self._left < 0:
            self.error = wrong('max_file_size exceeded')
            raise self.error
        return piece

    def readline(self, size: int = -1) -> bytes:
        """A piece: nothing that reads lines gets a file."""
        return self.read(size)


def _value(part: multipart.Part) -> bytes:
    """The beginning of a field."""
    value = b''
    while len(value) < VALUE:
        piece = part.read(VALUE - len(value))
        if not piece:
            break
        value += piece
    return value


def wrong(message: str) -> HttpError:
    """400."""
    return HttpError(400, f'FormPost: {message}', {'Content-Type': 'text/plain'})


def _refused(message: str) -> HttpError:
    return HttpError(401, f'FormPost: {message}', signatures.CHALLENGE)


def plain(status: int, message: str = '') -> Response:
    """The outcome where no redirection is wanted."""
    text = status_line(status) + (f'\r\n{message}' if message else '')
    return Response(status, text, {'Content-Type': 'text/plain'})


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], FormPost]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:formpost]')
    conf.allowed_digests = signatures.digests(conf.allowed_digests, '[filter:formpost]')
    info.register('formpost', allowed_digests=conf.allowed_digests,
                  deprecated_digests=[name for name in conf.allowed_digests if name in signatures.DEPRECATED])
    return lambda app: FormPost(app, conf)
