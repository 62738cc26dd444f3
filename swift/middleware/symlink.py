"""Symbolic links: an object that stands for another, which is read in its place.

    [filter:symlink]
    use = egg:swift#symlink
    symloop_max = 2

``PUT`` with ``X-Symlink-Target: container/object`` and, for one in another
account, ``X-Symlink-Target-Account``.  With ``X-Symlink-Target-Etag`` the link is
static: it stands for that content alone, and 409 is what it shows of another.
GET and HEAD follow, with the client's rights to what they come to; with
``?symlink=get`` they show the link.  PUT, DELETE and COPY's destination are about
the link; a POST is applied to it too, but answered 307 with where the target is.

::

    X-Object-Sysmeta-Symlink-Target[-Account|-Etag|-Bytes]      the link, on disk
    <etag>; symlink_target=c/o; symlink_target_etag=...         in the container's listing
    X-Object-Sysmeta-Symloop-Extend         the system's own link: it does not count
    X-Object-Sysmeta-Allow-Reserved-Names   and it may lead where clients cannot go
"""

from collections.abc import Callable, Iterable
from typing import Any

from swift import conf as confs
from swift import constraints
from swift.http import HttpError, Request, Response, info, serving
from swift.http import path as paths
from swift.http.subrequest import allow, make_subrequest
from swift.middleware import listing, peek

OPTIONS = {
    'symloop_max': confs.Option(confs.positive, 2, 'links that one request follows'),
}
TARGET, ACCOUNT, ETAG, BYTES = (f'X-Symlink-Target{end}' for end in ('', '-Account', '-Etag', '-Bytes'))
SYSMETA = 'X-Object-Sysmeta-Symlink-Target'
MARK = SYSMETA.lower()
EXTEND = 'X-Object-Sysmeta-Symloop-Extend'
RESERVED = 'X-Object-Sysmeta-Allow-Reserved-Names'
#: of an answer: what a system link stands for; clients are told the link's own path
HIDDEN = 'X-Backend-Link-Path'
OVERRIDE = 'X-Object-Sysmeta-Container-Update-Override-Etag'
#: md5 of nothing: a link has no content
NO_CONTENT = 'd41d8cd98f00b204e9800998ecf8427e'
#: system links that one request follows; more is a circle
MAX_EXTENDED = 10
_PLAIN = {'Content-Type': 'text/plain'}


class Symlink:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        self._max = conf.symloop_max

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ['REQUEST_METHOD']
        if method in ('GET', 'HEAD') and peek.is_object(environ) and 'symlink=' not in environ.get('QUERY_STRING', ''):
            return self._read(environ, start_response)
        if method in ('GET', 'HEAD', 'POST') or (method == 'PUT' and 'HTTP_X_SYMLINK_TARGET' in environ):
            return self._serve(environ, start_response)
        return self.app(environ, start_response)

    def _read(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # the application strikes out ``swift.authorize`` once it has said yes to one path; what follows is others
        found = peek.ask(self.app, dict(environ), MARK, start_response)
        if not isinstance(found, Response):
            return found
        return peek.answer(lambda: self._follow(Request(environ), found), environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        pieces = request.path.split('/', 4)
        if len(pieces) < 5 or not all(pieces[1:]) or pieces[0]:
            if request.method == 'GET' and listing.is_container(request):
                base = f'/{pieces[1]}/{pieces[2]}/'
                return listing.rewrite(request.respond(self.app), b'symlink_target=',
                                       lambda entry: _show(entry, pieces[1], base))
            return self.app
        if request.method == 'PUT':
            return self._put(request)
        if request.method == 'POST':
            return self._post(request)
        if request.query_string and request.params.get('symlink') == 'get':
            return self._link(request)
        return self._follow(request, request.copy().respond(self.app))

    # reading

    def _link(self, request: Request) -> Response:
        """The link itself."""
        response = request.respond(self.app)
        for end in ('', '-Account', '-Etag', '-Bytes'):
            value = response.headers.get(SYSMETA + end)
            if value is not None:
                response.headers[f'X-Symlink-Target{end}'] = value
        return response

    def _follow(self, request: Request, response: Response, only_static: bool = False) -> Response:
        """What a chain of links comes to; raises ``HttpError`` 409 for a chain that is too long or not true."""
        hops = extended = 0
        current, etag, where, hidden = request, None, None, None
        while True:
            target = response.headers.get(SYSMETA)
            if not target or (only_static and SYSMETA + '-Etag' not in response.headers):
                break
            response.drain()
            if confs.true(response.headers.get(EXTEND)):
                extended += 1
            else:
                hops += 1
            if hops > self._max or extended > MAX_EXTENDED:
                raise HttpError(409, f'Too many levels of symbolic links, maximum allowed is {self._max}', _PLAIN)
            etag = response.headers.get(SYSMETA + '-Etag')
            current = _next(request, current, response, target)
            hidden = current.quoted_path if confs.true(response.headers.get(RESERVED)) else None
            where = current.quoted_path if hidden is None else where or request.quoted_path
            response = current.respond(self.app)
        if where is not None:
            if etag is not None and response.etag != etag and (response.is_success or response.status in (304, 416)):
                response.close()
                raise HttpError(409, f'Object Etag {response.etag!r} does not match X-Symlink-Target-Etag header '
                                     f'{etag!r}', {**_PLAIN, 'Content-Location': where})
            response.headers['Content-Location'] = where
            response.headers[HIDDEN] = hidden
        return response

    # writing

    def _put(self, request: Request) -> Any:
        if request.content_length:
            raise HttpError(400, 'Symlink requests require a zero byte body', _PLAIN)
        version, account, container, name = request.split(4, 4, rest=True)
        target_account = _account(request)
        target = _target(request)
        full = (target_account or account, *target)
        if full == (account, container, name):
            raise HttpError(400, 'Symlink cannot target itself', _PLAIN)
        values = {'': paths.quote('/'.join(target))}
        if target_account and target_account != account:
            values['-Account'] = paths.quote(target_account)
        kind = 'application/symlink'
        wanted = request.headers.get(ETAG)
        if wanted and request.environ.get('swift.symlink_override'):
            # from another cluster: the target may come later
            values.update({'-Etag': _etag(wanted), '-Bytes': request.headers.get('X-Symlink-Target-Bytes', '0')})
        elif wanted:
            head = self._pinned(request, paths.quote(paths.join(version, *full)), _etag(wanted))
            kind = head.headers.get('Content-Type', kind)
            values.update({'-Etag': _etag(wanted), '-Bytes': head.headers.get('Content-Length', '0')})
        if request.is_chunked and request.input.read(1):
            raise HttpError(400, 'Symlink requests require a zero byte body', _PLAIN)
        if not request.environ.get('CONTENT_TYPE'):
            request.environ['CONTENT_TYPE'] = kind
        for end in ('', '-Account', '-Etag', '-Bytes'):
            request.headers[f'X-Symlink-Target{end}'] = None
        request.headers.update(link_headers(values))
        return self.app

    def _pinned(self, request: Request, path: str, etag: str) -> Response:
        """The target of a static link; raises ``HttpError`` unless it is as it is said to be."""
        head = make_subrequest(request.environ, method='HEAD', path=path, source='SYM', agent='%(orig)s')
        head.headers['X-Backend-Allow-Reserved-Names'] = request.headers.get('X-Backend-Allow-Reserved-Names')
        response = self._follow(head, head.copy().respond(self.app), only_static=True)
        response.close()
        where = {'Content-Location': response.headers.get('Content-Location', path), **_PLAIN}
        if response.status == 404:
            raise HttpError(409, 'X-Symlink-Target does not exist', where)
        if not response.is_success:
            raise HttpError(response.status)
        if response.etag != etag:
            raise HttpError(409, f'Object Etag {response.etag!r} does not match X-Symlink-Target-Etag header '
                                 f'{etag!r}', where)
        return response

    def _post(self, request: Request) -> Response:
        if TARGET in request.headers:
            raise HttpError(400, 'A PUT request is required to set a symlink target', _PLAIN)
        response = request.respond(self.app)
        target = response.headers.get(SYSMETA)
        if not target or not response.is_success or confs.true(response.headers.get(EXTEND)):
            return response
        response.drain()
        _, version, account, _ = request.path.split('/', 3)
        account = response.headers.get(SYSMETA + '-Account') or paths.wsgi_quote(account)
        headers = {'Location': f'/{version}/{account}/{target}', 'Content-Type': 'text/html; charset=UTF-8'}
        if SYSMETA + '-Etag' in response.headers:
            headers[ETAG] = response.headers[SYSMETA + '-Etag']
        raise HttpError(307, 'The requested POST was applied to a symlink. POST directly to the target to apply '
                             'requested metadata.', headers)


def link_headers(values: dict[str, str], more: str = '') -> dict[str, str]:
    """System metadata of a link; ``values`` by the ends of their names, ``more`` for the listing."""
    listed = {f'symlink_target{end.lower().replace("-", "_")}': values[end]
              for end in ('', '-Account', '-Etag', '-Bytes') if end in values}
    return {**{SYSMETA + end: value for end, value in values.items()},
            OVERRIDE: listing.joined(NO_CONTENT, listed) + more}


def _next(first: Request, current: Request, response: Response, target: str) -> Request:
    """The request for what a link leads to: the client's, with another path."""
    _, version, account, _ = current.path.split('/', 3)
    other = response.headers.get(SYSMETA + '-Account')
    if other:
        account = paths.wsgi_unquote(other)
    following = first.copy()
    following.path_info = f'/{version}/{account}/{paths.wsgi_unquote(target)}'
    following.environ['SCRIPT_NAME'] = ''
    if confs.true(response.headers.get(RESERVED)) and not other:
        # the system's own link; whoever may read it may read what it stands for
        following.headers['X-Backend-Allow-Reserved-Names'] = 'true'
        following.environ['swift.authorize'] = allow
        following.environ['swift.authorize_override'] = True
    return following


def _show(entry: dict[str, Any], version: str, base: str) -> None:
    """Tell where a link leads beside what it is."""
    etag, more = listing.parameters(entry['hash'])
    target = more.pop('symlink_target', None)
    if target is None:
        return
    account, tag, size = (more.pop(f'symlink_target_{each}', None) for each in ('account', 'etag', 'bytes'))
    entry['hash'] = listing.joined(etag, more)
    if tag is not None:
        entry['symlink_etag'] = tag
    if size is not None and size.isdecimal():
        entry['symlink_bytes'] = int(size)
    start = f'/{version}/{account}/' if account else paths.wsgi_quote(base)
    entry['symlink_path'] = start + target


def _target(request: Request) -> tuple[str, str]:
    """Container and object, as text; raises ``HttpError`` 412."""
    text = _text(request.headers[TARGET])
    container, _, name = text.partition('/')
    if not container or not name:
        raise HttpError(412, f'{TARGET} header must be of the form <container name>/<object name>', _PLAIN)
    constraints.check_utf8(text)
    return container, name


def _account(request: Request) -> str | None:
    value = request.headers.get(ACCOUNT)
    if not value:
        return None
    name = _text(value)
    if '/' in name:
        raise HttpError(412, 'Account name cannot contain slashes', _PLAIN)
    constraints.check_utf8(name)
    return name


def _text(value: str) -> str:
    try:
        return paths.unquote(value.encode('latin-1').decode('utf-8'))
    except ValueError:
        raise HttpError(412, 'Invalid UTF8 or contains NULL', _PLAIN) from None


def _etag(value: str) -> str:
    tag = value.strip().strip('"')
    if not tag or any(letter in tag for letter in ';"') or not tag.isascii():
        raise HttpError(400, 'Bad X-Symlink-Target-Etag format', _PLAIN)
    return tag


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], Symlink]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:symlink]')
    info.register('symlink', symloop_max=conf.symloop_max, static_links=True)
    return lambda app: Symlink(app, conf)
