"""What nova-compute asks of a hypervisor, in plain values, and nothing else.

A guest's life as a driver sees it::

              spawn                 pause
    (absent) ------> RUNNING  <------------> PAUSED
        ^             |  ^  ^    unpause
        |        stop |  |  |       suspend
        |             v  |  +--------------> SUSPENDED
        |    start/reboot|       resume
        +--- destroy -- SHUTDOWN   (destroy works from any state)

Invariants: a guest that ``guests`` lists with a state has its disks; a failed ``spawn``
leaves neither; ``destroy`` leaves no file, device or definition behind.
"""

import dataclasses
import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from strata import errors


class PowerState(enum.IntEnum):
    """What the hypervisor says of a guest; the numbers are those of the compute API."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7


class Unbuildable(errors.Error):
    """This host cannot run the guest, though another might."""

    message = 'The host cannot run it: {reason}'


class UnknownGuest(errors.NotFound):
    """A verb met no such guest; ``destroy``, ``guests`` and ``power_state`` never raise it."""

    message = 'Guest {id} could not be found on this host.'


@dataclasses.dataclass(frozen=True, slots=True)
class ImageRef:
    """A base image in this host's cache, already verified by ``nova.virt.images``."""

    id: str
    path: str
    format: str                       # 'raw' or 'qcow2', as declared and as inspected
    virtual_size: int = 0             # bytes; 0 = ask the file
    min_disk_gb: int = 0
    min_ram_mb: int = 0
    properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Nic:
    """A network card, and how it is plugged.

    ``kind`` 'tap': the network agent has made the tap ``device`` and put it on
    its bridge; the driver only hands it to the guest.  'bridge': the driver
    (libvirt) makes ``device`` and puts it on ``bridge``.
    """

    port_id: str
    mac: str
    device: str
    mtu: int = 1500
    kind: str = 'tap'
    bridge: str | None = None
    model: str | None = None          # None = the image's hw_vif_model, else virtio


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A disk kept elsewhere; ``path`` is a file or block device on this host."""

    id: str                           # also the serial number that the guest sees
    path: str
    format: str = 'raw'
    device: str | None = None         # 'vdb'; None = the first free name
    bus: str | None = None
    read_only: bool = False
    boot: bool = False                # the root disk of a guest without image


@dataclasses.dataclass(frozen=True, slots=True)
class Guest:
    """Everything needed to make, or make again, one guest."""

    id: str
    name: str                         # 'instance-0000002a', what the hypervisor calls it
    title: str
    vcpus: int
    ram_mb: int
    root_gb: int                      # 0 = as large as the image
    ephemeral_gb: int = 0
    swap_mb: int = 0
    image: ImageRef | None = None     # None = boots from a volume, or a blank root disk
    nics: tuple[Nic, ...] = ()
    volumes: tuple[Volume, ...] = ()
    config_drive: str | None = None   # path of an ISO; the driver takes a copy
    kernel: str | None = None         # paths and command line of a direct kernel boot
    ramdisk: str | None = None
    cmdline: str | None = None
    #: for the eyes of who uses the hypervisor's own tools
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """What the host has, and how much of it is in use at this moment."""

    hypervisor_type: str              # 'QEMU', 'KVM', 'fake'
    hypervisor_version: int           # 7002022 for 7.2.22
    hypervisor_hostname: str
    vcpus: int
    ram_mb: int
    disk_gb: int
    vcpus_used: int = 0
    ram_used_mb: int = 0
    disk_used_gb: int = 0
    disk_available_least_gb: int = 0
    running: int = 0                  # guests
    cpu_info: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    host_ip: str = '127.0.0.1'
    uptime: str = ''                  # as uptime(1) prints it


#: called as ``callback(id, power_state)``, in a greenlet, after a guest changed by itself or by a verb
Lifecycle = Callable[[str, PowerState], None]


class Driver(ABC):
    """One hypervisor on one host.

    A driver knows no database, no bus and no policy.  It is handed plain
    values, acts on the machine, and raises if it could not.  Every verb is
    idempotent: pausing a paused guest is a success.  A verb that makes no
    sense in the guest's state (unpausing one that is shut down) raises
    ``errors.Conflict``; one about no guest raises ``UnknownGuest``.
    """

    #: verbs beyond the mandatory ones: 'pause', 'suspend', 'nics', 'volumes', 'snapshot'
    supports: frozenset[str] = frozenset()

    # -- the host ----------------------------------------------------------------------------

    @abstractmethod
    def init_host(self) -> None:
        """Connect and check; called once before anything else.

        Raises ``errors.Unavailable`` with the remedy if the hypervisor is not there.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and threads; guests run on."""

    @abstractmethod
    def capacity(self) -> Capacity:
        """The host's resources and their use now."""

    @abstractmethod
    def guests(self) -> dict[str, PowerState]:
        """Ids and power states of all our guests on this host.

        What is left of a ``spawn`` or ``destroy`` that was cut short is listed
        with ``NOSTATE``; ``destroy`` clears it away.
        """

    @abstractmethod
    def power_state(self, id: str) -> PowerState:
        """The state of one guest; ``NOSTATE`` if there is none."""

    @abstractmethod
    def images_in_use(self) -> set[str]:
        """Paths of cached base images that some guest's disk stands on, running or not."""

    @abstractmethod
    def on_lifecycle(self, callback: Lifecycle) -> None:
        """Have ``callback`` told of every change of power state."""

    # -- a guest's life ----------------------------------------------------------------------

    @abstractmethod
    def spawn(self, guest: Guest) -> None:
        """Make the disks, define and boot; leave nothing behind on failure.

        A guest of that id which is already there is started if it is not
        running, and otherwise left alone.  Raises ``Unbuildable`` if another host could do better.
        """

    @abstractmethod
    def destroy(self, id: str) -> None:
        """Remove a guest and its disks; one already gone, or gone by half, is a success."""

    @abstractmethod
    def start(self, guest: Guest) -> None:
        """Power on; the definition is made afresh from ``guest``, the disks are kept."""

    @abstractmethod
    def stop(self, id: str, timeout: float = 60.0) -> None:
        """Power off: ask the guest by ACPI, after ``timeout`` seconds pull the plug (0 = at once)."""

    @abstractmethod
    def reboot(self, guest: Guest, hard: bool = False, timeout: float = 60.0) -> None:
        """Restart; soft asks the guest first and turns hard after ``timeout`` seconds.

        Hard makes the definition afresh and works from every state.
        """

    @abstractmethod
    def console_output(self, id: str, limit: int = 102400) -> bytes:
        """The last ``limit`` bytes of the serial console; empty before the first boot."""

    @abstractmethod
    def diagnostics(self, id: str) -> dict[str, Any]:
        """Counters of a guest, under the names of the compute API's diagnostics since 2.48:
        ``uptime`` in s, ``cpu_details`` time in ns, ``memory_details`` in MiB, octets and bytes.
        """

    # -- verbs a driver may lack -------------------------------------------------------------

    def pause(self, id: str) -> None:
        """Freeze in memory."""
        raise self._lacks('pause')

    def unpause(self, id: str) -> None:
        """Undo ``pause``; a running guest is a success."""
        raise self._lacks('pause')

    def suspend(self, id: str) -> None:
        """Save memory to disk and power off."""
        raise self._lacks('suspend')

    def resume(self, guest: Guest) -> None:
        """Undo ``suspend``; a running guest is a success."""
        raise self._lacks('suspend')

    def attach_nic(self, id: str, nic: Nic) -> None:
        """Plug a card, live if the guest runs; one already there (by MAC) is a success."""
        raise self._lacks('nics')

    def detach_nic(self, id: str, mac: str) -> None:
        """Unplug a card; one already gone is a success."""
        raise self._lacks('nics')

    def attach_volume(self, id: str, volume: Volume) -> str:
        """Plug a disk; returns its device name ('vdb').  One already there (by id) is a success."""
        raise self._lacks('volumes')

    def detach_volume(self, id: str, volume_id: str) -> None:
        """Unplug a disk; one already gone is a success."""
        raise self._lacks('volumes')

    def snapshot(self, id: str, path: str) -> None:
        """Write the root disk, as it is now and free of its base, to ``path`` as qcow2."""
        raise self._lacks('snapshot')

    def _lacks(self, feature: str) -> errors.Unsupported:
        return errors.Unsupported(feature=feature)
