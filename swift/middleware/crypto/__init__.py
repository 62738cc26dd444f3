"""Objects encrypted before they reach a disk, and decrypted on their way back.

    [filter:keymaster]
    use = egg:swift#keymaster
    encryption_root_secret = (base64 of at least 32 bytes)

    [filter:encryption]
    use = egg:swift#encryption
    disable_encryption = false

Bodies, entity tags and user metadata are encrypted with AES-256 in counter mode;
names, sizes and types are not.  Formats are those of Swift 2.38, both ways::

    X-Object-Sysmeta-Crypto-Body-Meta       iv, and the body's own key wrapped by the object's key
    X-Object-Sysmeta-Crypto-Etag            the plaintext's md5, by the object's key
    X-Object-Sysmeta-Crypto-Etag-Mac        its keyed hash, for conditions
    X-Object-Sysmeta-Container-Update-Override-Etag     the same md5 by the container's key, for listings
    X-Object-Transient-Sysmeta-Crypto-Meta-*            user metadata, by the object's key

Order: keymaster, encryption, and nothing but proxy_logging behind them.
"""

from collections.abc import Callable
from typing import Any

from swift import conf as confs
from swift.http import info
from swift.middleware.crypto.decrypter import Decrypter
from swift.middleware.crypto.encrypter import Encrypter

OPTIONS = {
    'disable_encryption': confs.Option(confs.boolean, False, 'write plainly; what is encrypted stays readable'),
    'swift_dir': confs.Option(confs.text, '/etc/swift', 'where swift.conf is'),
}


def filter_factory(global_conf: dict[str, str], **local_conf: str) -> Callable[[Any], Decrypter]:
    """paste: both halves."""
    conf = confs.options({**global_conf, **local_conf}, OPTIONS, '[filter:encryption]')
    info.register('encryption', admin=True, enabled=not conf.disable_encryption)
    return lambda app: Decrypter(Encrypter(app, conf))
