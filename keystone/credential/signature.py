"""EC2 and S3 signatures: versions 2 and 4, computed again from what the service was sent.

Source: the AWS documents "Signature Version 2" and "Signature Version 4".
"""

import base64
import calendar
import datetime
import hashlib
import hmac
import urllib.parse
from collections.abc import Mapping
from typing import Any

from strata import clock, crypt, errors

_V4 = 'AWS4-HMAC-SHA256'


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe='-_.~')


def _query(params: Mapping[str, Any]) -> str:
    return '&'.join(f'{_quoted(str(name))}={_quoted(str(value))}' for name, value in
                    sorted((str(name), str(value)) for name, value in params.items()))


def _header(headers: Mapping[str, Any], name: str) -> str:
    return str(next((value for key, value in headers.items() if key.lower() == name.lower()), ''))


def is_good(secret: str, given: Mapping[str, Any]) -> bool:
    """Whether ``given``, the published request of ec2tokens, was signed with ``secret``.

    ``params`` are those of the request with the signature left in; a host that
    was signed with its port is also tried without.
    """
    signature = str(given.get('signature') or '')
    host = str(given.get('host') or '')
    hosts = [host] + ([host.rpartition(':')[0]] if ':' in host else [])
    return any(crypt.equal(_expected(secret, given, each), signature) for each in hosts)


def _expected(secret: str, given: Mapping[str, Any], host: str) -> str:
    headers, params = given.get('headers') or {}, dict(given.get('params') or {})
    if _is_v4(headers, params):
        return _v4(secret, given, host, headers, params)
    if str(params.get('SignatureVersion')) == '2':
        return _v2(secret, given, host, params)
    raise errors.Unauthorized('The signature is of an unknown version.')


def _is_v4(headers: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    return _header(headers, 'Authorization').startswith(_V4) or params.get('X-Amz-Algorithm') == _V4


def _v2(secret: str, given: Mapping[str, Any], host: str, params: dict[str, Any]) -> str:
    params.pop('Signature', None)
    text = '\n'.join([str(given.get('verb')), host.lower(), str(given.get('path')), _query(params)])
    digest = hashlib.sha256 if params.get('SignatureMethod') == 'HmacSHA256' else hashlib.sha1
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), digest)).decode()


def _credential(headers: Mapping[str, Any], params: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The scope (date/region/service/aws4_request) and the signed headers."""
    if params.get('X-Amz-Algorithm') == _V4:
        scope, signed = str(params.get('X-Amz-Credential')), str(params.get('X-Amz-SignedHeaders'))
    else:
        text = _header(headers, 'Authorization')[len(_V4):]
        parts = dict(part.strip().split('=', 1) for part in text.split(',') if '=' in part)
        scope, signed = parts.get('Credential', ''), parts.get('SignedHeaders', '')
    return scope.partition('/')[2], signed.split(';')


def _v4(secret: str, given: Mapping[str, Any], host: str, headers: Mapping[str, Any],
        params: dict[str, Any]) -> str:
    scope, signed = _credential(headers, params)
    words = scope.split('/')
    if len(words) != 4:
        raise errors.Unauthorized()
    params.pop('X-Amz-Signature', None)
    known = {name.lower(): ' '.join(str(value).split()) for name, value in headers.items()}
    known['host'] = host
    canonical = '\n'.join([
        str(given.get('verb')), str(given.get('path')), _query(params),
        ''.join(f'{name}:{known.get(name, "")}\n' for name in signed), ';'.join(signed),
        str(given.get('body_hash') or '')])
    when = params.get('X-Amz-Date') or known.get('x-amz-date') or known.get('date') or ''
    text = '\n'.join([_V4, str(when), scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b'AWS4' + secret.encode()
    for word in words:
        key = hmac.digest(key, word.encode(), hashlib.sha256)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def check_time(given: Mapping[str, Any], now: datetime.datetime, minutes: int) -> None:
    """``errors.Unauthorized`` unless the request was signed within ``minutes`` of now, either way.

    Only a time that is signed counts: version 2 signs no headers.
    """
    headers, params = given.get('headers') or {}, given.get('params') or {}
    if _is_v4(headers, params):
        text, expires = str(params.get('X-Amz-Date') or _header(headers, 'X-Amz-Date')), None
    else:
        text, expires = str(params.get('Timestamp') or ''), params.get('Expires')
    if not text and expires:
        try:
            fresh = clock.parse(str(expires)) > now
        except ValueError:
            fresh = False
    else:
        fresh = abs(_seconds(text) - calendar.timegm(now.utctimetuple())) <= minutes * 60
    if not fresh:
        raise errors.Unauthorized('The signature is too old, or its time is missing.')


def _seconds(text: str) -> float:
    """A moment in either of AWS's forms, in seconds since 1970; minus infinity if it is none."""
    try:
        if len(text) == 16 and text.endswith('Z') and text[8] == 'T':
            return float(calendar.timegm(datetime.datetime.strptime(text, '%Y%m%dT%H%M%SZ').timetuple()))
        return clock.parse(text).timestamp()
    except ValueError:
        return float('-inf')
