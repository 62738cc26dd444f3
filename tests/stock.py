"""One caller, one flavor and one image, for tests that only need some."""

import hashlib

from strata.context import Context

CALLER = Context(user_id='u', project_id='p', roles=('member',))
FLAVOR = {'id': '1', 'name': 'm1', 'vcpus': 1, 'ram': 100, 'disk': 1, 'ephemeral': 0, 'swap': 0, 'extra_specs': {}}
DATA = b'an image' * 100
IMAGE = {'id': '11111111-1111-4111-8111-111111111111', 'status': 'active', 'disk_format': 'raw', 'size': len(DATA),
         'container_format': 'bare', 'os_hash_algo': 'sha512', 'os_hash_value': hashlib.sha512(DATA).hexdigest(),
         'min_ram': 0, 'min_disk': 0}


class Images:
    """An image service with that image."""

    def download(self, context, id):
        yield DATA
