"""Containers as web sites: index pages, error pages and listings, for visitors without a token.

    [filter:staticweb]
    use = egg:swift#staticweb
    url_base =              (of redirections: https:, //host, https://host)

A container's metadata make it a site: X-Container-Meta-Web-Index, -Web-Error,
-Web-Listings, -Web-Listings-CSS, -Web-Listings-Label, -Web-Directory-Type.
Who has a token sees the API instead, unless ``X-Web-Mode: true`` says otherwise.
Everything is asked for with the visitor's own rights.
"""

import dataclasses
import json
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from swift import conf as confs
from swift.http import info
from swift.http import path as paths
from swift.http.application import serving
from swift.http.request import Request
from swift.http.response import HttpError, Response
from swift.http.subrequest import make_env
from swift.middleware import tempurl, web_pages
from swift.proxy.info import get_container_info

#: conditions and ranges of the visitor's that apply to an index page too
CONDITIONS = ('HTTP_IF_MATCH', 'HTTP_IF_NONE_MATCH', 'HTTP_IF_MODIFIED_SINCE', 'HTTP_IF_UNMODIFIED_SINCE',
              'HTTP_RANGE', 'HTTP_IF_RANGE', 'HTTP_ORIGIN')
#: bytes of a listing that are read; 10,000 entries with the longest names have less
LISTING = 32 * 1024 * 1024
_HTML = {'Content-Type': 'text/html; charset=UTF-8'}

OPTIONS = {'url_base': confs.Option(confs.text, '', 'scheme, host or both of redirections')}


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """What a container's metadata say; WSGI strings."""

    index: str
    error: str
    listings: bool
    css: str
    label: str
    directory: str

    @classmethod
    def of(cls, meta: Mapping[str, str]) -> 'Site | None':
        """``None`` if it is no site."""
        if not any(meta.get(name) for name in ('web-index', 'web-error', 'web-listings')):
            return None
        return cls(meta.get('web-index', '').strip(), meta.get('web-error', '').strip(),
                   confs.true(meta.get('web-listings')), meta.get('web-listings-css', '').strip(),
                   meta.get('web-listings-label', '').strip(),
                   meta.get('web-directory-type', '').strip() or 'application/directory')


class StaticWeb:
    """The filter."""

    def __init__(self, app: Any, conf: Any) -> None:
        self.app = app
        base = urllib.parse.urlsplit(conf.url_base)
        self._scheme, self._host = base.scheme, base.netloc

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ['REQUEST_METHOD'] not in ('GET', 'HEAD'):
            return self.app(environ, start_response)
        user = environ.get('REMOTE_USER')
        if user and user != tempurl.USER and not confs.true(environ.get('HTTP_X_WEB_MODE')):
            return self.app(environ, start_response)
        return self._serve(environ, start_response)

    @serving
    def _serve(self, request: Request) -> Any:
        try:
            _, _, container, name = request.split(2, 4, True)
        except ValueError:
            return self.app
        if not container:
            return self.app
        site = Site.of(get_container_info(request.environ, self.app).get('meta') or {})
        if site is None:
            return self.app
        visit = _Visit(self, request, site, paths.text_to_wsgi(name or ''))
        return visit.object() if name else visit.container()

    def address(self, request: Request, path: str) -> str:
        """Where to redirect to."""
        scheme = self._scheme or request.environ['wsgi.url_scheme']
        return f'{scheme}://{self._host or request.host}{paths.wsgi_quote(path)}'


class _Visit:
    """One request to a site; ``name`` is the object's, a WSGI string."""

    def __init__(self, web: StaticWeb, request: Request, site: Site, name: str) -> None:
        self.app = web.app
        self.web = web
        self.request = request
        self.site = site
        self.name = name
        path = request.path
        #: up to the name
        self.root = path[:len(path) - len(name)] if name else path.rstrip('/') + '/'

    def object(self) -> Response:
        """An object, or what stands for it."""
        kept = self.request.copy()
        answer = kept.respond(self.app)
        if answer.status < 400 and not self._is_marker(answer):
            return answer
        if answer.status >= 400 and answer.status != 404:
            return answer if answer.status in (412, 416) else self._error(answer)
        if not (self.site.index or self.site.listings):
            return answer if answer.status < 400 else self._error(answer)
        missing = answer
        if answer.status < 400:
            answer.close()
            missing = HttpError(404).response()
        if self.name.endswith('/'):
            return self._directory(missing)
        if self._is_directory():
            missing.close()
            return self._redirect()
        return self._error(missing)

    def container(self) -> Response:
        """The top of the site."""
        if not (self.site.index or self.site.listings):
            return self.request.respond(self.app)
        # what follows is a page, even one of JSON
        self.request.environ['swift.format_listing'] = False
        # the rights to the container come first, as if it were listed
        probe = self._ask('HEAD', self.request.path)
        probe.close()
        if not probe.is_success:
            return self._error(HttpError(probe.status, headers=_challenge(probe)).response())
        if self.request.path.endswith('/'):
            return self._directory(HttpError(404).response())
        return self._redirect()

    def _directory(self, missing: Response) -> Response:
        """The index page of a directory, or else its listing."""
        if self.site.index:
            page = self._ask(self.request.method, self.root + self.name + self.site.index, CONDITIONS)
            if page.status < 400 or page.status in (412, 416):
                missing.close()
                return page
            page.close()
            if page.status not in (401, 403, 404):
                return page
        return self._listing(missing)

    def _is_marker(self, answer: Response) -> bool:
        """Whether it is an empty object that only says that there is a directory."""
        kind = answer.headers.get('Content-Type', '').partition(';')[0].strip()
        return kind == self.site.directory and answer.status == 200 and not answer.content_length

    def _is_directory(self) -> bool:
        """Whether there is anything below a name."""
        below = self.root + self.name + '/'
        if self.site.index:
            page = self._ask('HEAD', below + self.site.index)
            page.close()
            if page.is_success:
                return True
        return bool(self._names(below[len(self.root):], 1)[1])

    def _names(self, prefix: str, limit: int | None = None) -> tuple[Response, list[dict[str, Any]]]:
        """What is below a prefix; nothing if it may not be seen, as the answer's status tells."""
        query = {'format': 'json', 'delimiter': '/', 'prefix': prefix}
        if limit:
            query['limit'] = str(limit)
        made = make_env(self.request.environ, method='GET', path=self.root[:-1], source='SW',
                        agent='%(orig)s StaticWeb', query=urllib.parse.urlencode(query, encoding='latin-1'))
        answer = Response.of(self.app, made)
        if not answer.is_success:
            answer.close()
            return answer, []
        body = b''
        try:
            for piece in answer.app_iter:
                body += piece
                if len(body) > LISTING:
                    raise HttpError(502)
        finally:
            answer.close()
        return answer, json.loads(body or b'[]')

    def _listing(self, missing: Response) -> Response:
        if not self.site.listings:
            page = web_pages.disabled(_text(self.root + self.name), _text(self.site.index))
            return self._error(Response(404, page, _HTML))
        answer, found = self._names(self.name)
        if not answer.is_success:
            return self._error(HttpError(answer.status, headers=_challenge(answer)).response())
        if self.name and not found:
            return self._error(missing)
        title = (_text(self.site.label) or _text(self.root)[:-1]) + '/' + _text(self.name)
        page = web_pages.listing(title, _text(self.name), found, css=_text(self.site.css),
                                 query=self.permission(), parent=self._has_parent())
        response = Response(200, page, _HTML)
        if self.request.environ.get('REMOTE_USER') == tempurl.USER:
            response.headers['Content-Disposition'] = 'inline'
        return response

    def _has_parent(self) -> bool:
        """Whether there is a directory above this one that the visitor may list."""
        above = _text(self.name)[:-1].rpartition('/')
        within = self.request.params.get('temp_url_prefix', '') if self.permission() else ''
        return bool(self.name) and (above[0] + above[1]).startswith(within)

    def _error(self, answer: Response) -> Response:
        """An error, as the site's own page if it has one."""
        if not self.site.error or answer.status < 400:
            return answer
        page = self._ask('GET', f'{self.root}{answer.status}{self.site.error}')
        if not page.is_success:
            page.close()
            return answer
        answer.close()
        page.status = answer.status
        challenge = _challenge(answer)
        for name, value in (challenge or {}).items():
            page.headers[name] = value
        return page

    def _redirect(self) -> Response:
        """To the same address with a slash, and what makes it a temporary one."""
        to = self.web.address(self.request, self.request.path + '/')
        permission = self.permission()
        return HttpError(301, headers={'Location': f'{to}?{permission}' if permission else to}).response()

    def permission(self) -> str:
        """The query that opens what is below a prefix, if this request came by one."""
        if self.request.environ.get('REMOTE_USER') != tempurl.USER:
            return ''
        params = self.request.params
        if 'temp_url_prefix' not in params:
            return ''
        return urllib.parse.urlencode({name: params[name] for name in (
            'temp_url_prefix', 'temp_url_expires', 'temp_url_sig', 'inline') if name in params})

    def _ask(self, method: str, path: str, kept: tuple[str, ...] = ()) -> Response:
        environ = self.request.environ
        made = make_env(environ, method=method, path=path, source='SW', agent='%(orig)s StaticWeb')
        made.update({key: environ[key] for key in kept if key in environ})
        return Response.of(self.app, made)


def _text(value: str) -> str:
    return value.encode('latin-1').decode('utf-8', 'replace')


def _challenge(answer: Response) -> dict[str, str] | None:
    value = answer.headers.get('WWW-Authenticate')
    return {'WWW-Authenticate': value} if value else None



def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], StaticWeb]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:staticweb]')
    info.register('staticweb')
    return lambda app: StaticWeb(app, conf)
