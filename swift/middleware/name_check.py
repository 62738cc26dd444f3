"""Names that an operator does not want: with certain characters, too long, or matching an expression.

    [filter:name_check]
    use = egg:swift#name_check
    forbidden_chars = '"`<>
    maximum_length = 255
    forbidden_regexp = /\\./|/\\.\\./|/\\.$|/\\.\\.$

The whole path is looked at; what offends gets 400.
"""

import re
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from strata import errors
from swift import conf as confs
from swift.http import HttpError
from swift.http import info as registry
from swift.http import path as paths

OPTIONS = {
    'forbidden_chars': confs.Option(str, '\'"`<>', 'characters no path may hold'),
    'maximum_length': confs.Option(confs.positive, 255, 'characters of a path'),
    'forbidden_regexp': confs.Option(confs.text, r'/\./|/\.\./|/\.$|/\.\.$', 'what no path may match; may be empty'),
}


class NameCheck:
    """The filter."""

    def __init__(self, app: Any, conf: SimpleNamespace) -> None:
        """Raises ``errors.Invalid`` for an expression that is none."""
        self.app = app
        self._chars = conf.forbidden_chars
        self._longest = conf.maximum_length
        try:
            self._expression = re.compile(conf.forbidden_regexp) if conf.forbidden_regexp else None
            self._any = re.compile('[' + re.escape(self._chars) + ']') if self._chars else None
        except re.error as error:
            raise errors.Invalid(f'[filter:name_check]: forbidden_regexp = {conf.forbidden_regexp}: {error}') from error

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        why = self._offence(environ['PATH_INFO'])
        if why is None:
            return self.app(environ, start_response)
        status = 412 if why.startswith('Invalid UTF8') else 400
        return HttpError(status, why).response()(environ, start_response)

    def _offence(self, path: str) -> str | None:
        if not path.isascii():
            try:
                path = paths.wsgi_to_text(path)
            except ValueError:
                return 'Invalid UTF8 or contains NULL'
        if self._any is not None and self._any.search(path):
            return f'Object/Container/Account name contains forbidden chars from {self._chars}'
        if len(path) > self._longest:
            return f'Object/Container/Account name longer than the allowed maximum {self._longest}'
        if self._expression is not None and self._expression.search(path):
            return ('Object/Container/Account name contains a forbidden substring from regular expression '
                    f'{self._expression.pattern}')
        return None


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], NameCheck]:
    """paste."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:name_check]')
    registry.register('name_check', forbidden_chars=conf.forbidden_chars, maximum_length=conf.maximum_length,
                      forbidden_regexp=conf.forbidden_regexp)
    return lambda app: NameCheck(app, conf)
