"""A request's head: from bytes to a WSGI environ, held to the letter of RFC 9112.

llhttp (through httptools) does the parsing; what it lets pass and another
HTTP implementation before or behind us might read differently is refused here.
"""

import re
from urllib.parse import unquote_to_bytes

import httptools

from strata.wsgi.limits import Limits

HEADERS_TOO_LARGE = '431 Request Header Fields Too Large'
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_VERSION = re.compile(rb'HTTP/[0-9]\.[0-9]\Z')
_HOST = re.compile(r'[A-Za-z0-9.\-_~%\[\]:]*\Z')
_ABSOLUTE = re.compile(r'[hH][tT][tT][pP][sS]?://([^/?#]*)([^#]*)\Z')
#: methods of storage servers among themselves, which the parser does not know
_FURTHER = (b'REPLICATE ', b'SSYNC ')
#: methods whose body's end an HTTP/1.0 client must say
_WITH_BODY = frozenset({'POST', 'PUT', 'PATCH'})
#: header lines an environ must not merge: two of them are two opinions
_SINGLE = frozenset({'HTTP_HOST', 'CONTENT_LENGTH', 'HTTP_TRANSFER_ENCODING', 'HTTP_EXPECT'})


class Refused(Exception):
    """The head is refused with ``status`` ('400 Bad Request') and the connection closes."""

    def __init__(self, status: str, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


def _bad(why: str) -> Refused:
    return Refused('400 Bad Request', why)


class Head:
    """The parsed head of one request; also what httptools calls back."""

    __slots__ = ('_url', 'chunked', 'environ', 'expecting', 'keep_alive', 'length', 'method', 'old', 'target')

    chunked: bool
    #: the client waits for ``100 Continue``
    expecting: bool
    keep_alive: bool
    #: bytes of the body, 0 if it is chunked
    length: int
    method: str
    #: HTTP/1.0
    old: bool
    #: as it was sent
    target: str

    def __init__(self) -> None:
        self.environ: dict[str, object] = {}
        self._url = b''

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line; a name with an underscore is dropped, for it could pose as another."""
        key = _KEYS.get(name)
        if key is None:
            key = _key(name)
        if not key:
            return
        text = value.decode('latin-1').strip(' \t')
        environ = self.environ
        if key in environ:
            if key in _SINGLE:
                raise _bad(f'more than one {name.decode("latin-1")} header')
            text = f'{environ[key]}{"; " if key == "HTTP_COOKIE" else ","}{text}'
        environ[key] = text


_KEYS: dict[bytes, str] = {}


def _key(name: bytes) -> str:
    """The environ key of a header name, remembered for a bounded number of names."""
    if b'_' in name:
        key = ''
    else:
        key = name.decode('latin-1').upper().replace('-', '_')
        if key not in ('CONTENT_LENGTH', 'CONTENT_TYPE'):
            key = 'HTTP_' + key
    if len(_KEYS) < 1000:
        _KEYS[name] = key
    return key


def parse(raw: bytes, limits: Limits) -> Head:
    """The head in ``raw``, which ends with its empty line.  Raises ``Refused``."""
    line = raw[:raw.find(b'\r\n')]
    _check_layout(raw, line, limits)
    head = Head()
    parser = httptools.HttpRequestParser(head)
    try:
        # the method makes no difference to how a head is read
        parser.feed_data(b'POST' + raw[raw.index(b' '):] if raw.startswith(_FURTHER) else raw)
    except httptools.HttpParserUpgrade:
        pass      # an offer, which may be passed over
    except httptools.HttpParserError as error:
        if isinstance(error.__context__, Refused):
            raise error.__context__ from None
        raise _diagnosis(line, error) from None
    version = line[-8:]
    if version not in (b'HTTP/1.1', b'HTTP/1.0'):
        raise _diagnosis(line, None)
    head.old = version == b'HTTP/1.0'
    head.method = line[:line.index(b' ')].decode('ascii')
    head.target = head._url.decode('latin-1')
    head.keep_alive = _keep_alive(head)
    _frame(head, limits)
    _locate(head)
    return head


def _check_layout(raw: bytes, line: bytes, limits: Limits) -> None:
    if len(line) > limits.line:
        raise Refused('414 URI Too Long', f'the request line is longer than {limits.line} bytes')
    count = raw.count(b'\r\n') - 2
    if count > limits.headers:
        raise Refused(HEADERS_TOO_LARGE, f'more than {limits.headers} headers')
    if len(raw) - len(line) > limits.header_bytes + 4:
        raise Refused(HEADERS_TOO_LARGE, f'more than {limits.header_bytes} bytes of headers')
    if raw.count(b'\n') != count + 2 or raw.count(b'\r') != count + 2:
        raise _bad('a bare carriage return or line feed')
    if b'\0' in raw:
        raise _bad('a NUL byte')
    if line.count(b' ') != 2:
        raise _diagnosis(line, None)


def _diagnosis(line: bytes, error: Exception | None) -> Refused:
    """Why a head was refused, and the status that says so."""
    words = line.split(b' ')
    if len(words) == 3 and _TOKEN.match(words[0]) and words[1] and _VERSION.match(words[2]):
        if words[2] not in (b'HTTP/1.1', b'HTTP/1.0'):
            return Refused('505 HTTP Version Not Supported', 'only HTTP/1.0 and HTTP/1.1 are spoken here')
        if isinstance(error, httptools.HttpParserInvalidMethodError):
            return Refused('501 Not Implemented', 'the method is not known')
    return _bad(str(error) if error else 'the request line is malformed')


def _keep_alive(head: Head) -> bool:
    said = head.environ.get('HTTP_CONNECTION')
    if said is None:
        return not head.old
    options = [word.strip() for word in str(said).lower().split(',')]
    return 'close' not in options and (not head.old or 'keep-alive' in options)


def _frame(head: Head, limits: Limits) -> None:
    """Where the body ends: exactly one opinion on that is accepted."""
    environ = head.environ
    coding = environ.get('HTTP_TRANSFER_ENCODING')
    length = environ.get('CONTENT_LENGTH')
    head.chunked = coding is not None
    head.length = 0
    if coding is not None:
        if length is not None or head.old:
            raise _bad('Transfer-Encoding in conflict with Content-Length or HTTP/1.0')
        if str(coding).lower() != 'chunked':
            raise Refused('501 Not Implemented', 'the only transfer coding known is chunked')
    elif length is not None:
        text = str(length)
        if not (text.isascii() and text.isdigit()):
            raise _bad('Content-Length is not a number')
        head.length = int(text)
        if limits.body is not None and head.length > limits.body:
            raise Refused('413 Content Too Large', f'the body is larger than {limits.body} bytes')
    elif head.old and head.method in _WITH_BODY:
        raise Refused('411 Length Required', 'HTTP/1.0 bodies need a Content-Length')
    expect = environ.get('HTTP_EXPECT')
    head.expecting = False
    if expect is not None and not head.old:
        if str(expect).lower() != '100-continue':
            raise Refused('417 Expectation Failed', 'the only expectation known is 100-continue')
        head.expecting = head.chunked or head.length > 0


def _locate(head: Head) -> None:
    """Host, path and query of the target, whatever its form."""
    environ, target = head.environ, head.target
    if head.method == 'CONNECT':
        raise Refused('501 Not Implemented', 'this is no proxy')
    if 'HTTP_HOST' not in environ and not head.old:
        raise _bad('no Host header')
    if not target.startswith('/'):
        match = _ABSOLUTE.match(target)
        if match:
            environ['HTTP_HOST'] = match[1]
            target = match[2] if match[2].startswith('/') else '/' + match[2]
        elif target != '*' or head.method != 'OPTIONS':
            raise _bad('the target is neither a path nor a URL')
    if not _HOST.match(str(environ.get('HTTP_HOST', ''))):
        raise _bad('the Host header is malformed')
    path, _, query = target.partition('?')
    if '#' in target:
        raise _bad('a fragment in the target')
    environ['RAW_PATH_INFO'] = path
    environ['PATH_INFO'] = unquote_to_bytes(path).decode('latin-1') if '%' in path else path
    environ['QUERY_STRING'] = query
