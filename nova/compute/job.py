"""One operation at work on one server: what every step needs, read afresh from the database.

A step may run in another process than the step before it, so nothing is
handed from step to step; what a step needs, it looks up.
"""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from nova.compute import instance_names, metadata_tree
from nova.compute.finish import load
from nova.db import servers
from nova.db.servers import Server
from nova.network import ports
from nova.network.rpc import Network
from nova.virt import configdrive
from nova.virt.driver import Driver, Guest, ImageRef, Nic
from nova.virt.images import Cache, Declared, check_fits
from nova.wiring import Wiring
from strata import errors, green
from strata.journal import Lease

#: seconds that a network agent which does not answer is waited for
PATIENCE = 60.0


@dataclasses.dataclass
class Host:
    """What the operations of one nova-compute share: wiring, hypervisor, image cache."""

    wiring: Wiring
    driver: Driver
    cache: Cache

    @property
    def name(self) -> str:
        """The host's name in the cloud."""
        return self.wiring.host

    @property
    def drives(self) -> str:
        """The folder of the config drives."""
        return os.path.join(self.wiring.conf.compute.instances_path, 'config-drives')

    def drive(self, server_id: str) -> str:
        """The path of a server's config drive, whether it has one or not."""
        return os.path.join(self.drives, f'{server_id}.iso')

    def remove_guest(self, server_id: str) -> None:
        """Remove a guest and everything else that this host keeps of its server; idempotent."""
        self.driver.destroy(server_id)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.drive(server_id))

    def tidy(self) -> None:
        """Remove what a killed predecessor left half written; before any operation begins."""
        self.cache.tidy()
        configdrive.tidy(self.drives)


class Job:
    """An operation under a lease, on this host."""

    def __init__(self, host: Host, lease: Lease) -> None:
        self.host, self.lease = host, lease
        self.wiring, self.driver = host.wiring, host.driver
        self.context = lease.context.elevated()
        self._nics: tuple[Nic, ...] | None = None

    @functools.cached_property
    def server(self) -> Server:
        """The server, as it was when the job began."""
        return load(self.wiring, self.lease)

    def see(self, tx: Session) -> None:
        """Read the server in a transaction that is open anyway, unless it is known."""
        if 'server' not in self.__dict__:
            self.server = servers.get(tx, self.context, self.lease.entry.resource_id, deleted=True)

    def image(self) -> ImageRef | None:
        """The server's base image, verified and in this host's cache; ``None`` if it boots from none."""
        server = self.server
        if server.image_id is None:
            return None
        image = self.host.cache.fetch(declared(server), lambda: self._image_bytes(server.image_id), holder=self)
        check_fits(image, server.flavor['disk'])
        return image

    def _image_bytes(self, id: str | None) -> Iterator[bytes]:
        return self.wiring.images.download(self.context, id)

    def nics(self, *, plugging: bool = False) -> tuple[Nic, ...]:
        """The server's cards, looked up once a job; ports that are missing are made, those that are there are kept."""
        if self._nics is None:
            found = ports.allocate(self.wiring, self.context, self.server, self.server.request['networks'],
                                   hold=self.lease.hold, plugging=plugging)
            self._nics = tuple(Nic(port_id=nic.port_id, mac=nic.mac, device=nic.device, mtu=nic.mtu)
                               for nic in found)
        return self._nics

    def plug(self) -> None:
        """Have this host's network agent make the server's devices ready.

        An agent that is restarting is waited for, a minute or two; then
        ``errors.Unavailable`` or ``errors.Timeout``.
        """
        if not self.nics(plugging=True):
            return
        timeout = self.wiring.conf.rpc_response_timeout
        deadline = self.wiring.clock.monotonic() + max(PATIENCE, 2 * timeout)      # an answer may be lost
        while True:
            try:
                Network(self.wiring.bus).plug(self.context, host=self.host.name, server_id=self.server.id,
                                              timeout=timeout)
                return
            except (errors.Unavailable, errors.Timeout):
                if self.wiring.clock.monotonic() > deadline:
                    raise
            green.sleep(1)
            self.lease.check()      # the wait may have outlived our claim to the operation

    def kernel(self, id: str | None, format: str) -> str | None:
        """The path of a kernel or ramdisk image in the cache."""
        if not id:
            return None
        record = self.wiring.images.show(self.context, id)
        kept = Declared(id=id, format=format, size=record.get('size'), hash_algo=record.get('os_hash_algo'),
                        hash_value=record.get('os_hash_value'), checksum=record.get('checksum'),
                        container=record.get('container_format') or 'bare')
        return self.host.cache.fetch(kept, lambda: self._image_bytes(id), holder=self).path

    def config_drive(self) -> str | None:
        """The path of a freshly written config drive, if the server has one."""
        server = self.server
        if not (server.config_drive or (server.image.get('properties') or {}).get('img_config_drive') == 'mandatory'):
            return None
        os.makedirs(self.host.drives, mode=0o700, exist_ok=True)
        return configdrive.build(metadata_tree.files(self.wiring, server), self.host.drive(server.id))

    def guest(self) -> Guest:
        """Everything the driver needs to make the guest, or make it again."""
        server, flavor = self.server, self.server.flavor
        properties = server.image.get('properties') or {}
        return Guest(
            id=server.id, name=instance_names.named(self.wiring, server), title=server.name,
            vcpus=flavor['vcpus'], ram_mb=flavor['ram'], root_gb=flavor['disk'],
            ephemeral_gb=int(flavor.get('ephemeral') or 0),
            swap_mb=int(flavor.get('swap') or 0), image=self.image(), nics=self.nics(),
            config_drive=self.config_drive(), kernel=self.kernel(server.kernel_id, 'aki'),
            ramdisk=self.kernel(server.ramdisk_id, 'ari'), cmdline=properties.get('os_command_line'),
            metadata={'project_id': server.project_id, 'user_id': server.user_id})


def declared(server: Server) -> Declared:
    """What the image service said of the server's image when the server was created."""
    image: dict[str, Any] = server.image
    assert server.image_id is not None
    return Declared(id=server.image_id, format=image['disk_format'], size=image.get('size'),
                    hash_algo=image.get('os_hash_algo'), hash_value=image.get('os_hash_value'),
                    checksum=image.get('checksum'), container=image.get('container_format') or 'bare',
                    min_disk_gb=int(image.get('min_disk') or 0), min_ram_mb=int(image.get('min_ram') or 0),
                    properties=image.get('properties') or {})
