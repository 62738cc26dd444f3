"""Filters: may this host take this server?  Each says why not."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from nova.scheduler.hosts import HostState, Spec
from strata import errors

Filter = Callable[[HostState, Spec], str | None]
FILTERS: dict[str, Filter] = {}


def filter(name: str) -> Callable[[Filter], Filter]:      # noqa: A001
    """Register a filter under the name that nova.conf knows it by."""
    def register(judge: Filter) -> Filter:
        FILTERS[name] = judge
        return judge
    return register


@filter('ComputeFilter')
def is_up(host: HostState, spec: Spec) -> str | None:
    """Daemons that are disabled or silent take nothing."""
    if host.disabled:
        return 'disabled'
    return None if host.alive else 'down'


@filter('AvailabilityZoneFilter')
def in_zone(host: HostState, spec: Spec) -> str | None:
    """A server that asks for a zone gets it."""
    return 'in another availability zone' if spec.zone and host.zone != spec.zone else None


@filter('RequestedHostFilter')
def is_requested(host: HostState, spec: Spec) -> str | None:
    """An administrator may name the host, and the node."""
    wrong = (spec.host and host.host != spec.host) or (spec.node and host.node != spec.node)
    return 'not the requested host' if wrong else None


@filter('SameHostFilter')
def is_beside(host: HostState, spec: Spec) -> str | None:
    """Beside one of the project's servers that the hint ``same_host`` names."""
    return None if spec.beside is None or host.host in spec.beside else 'without the servers to be beside'


@filter('DifferentHostFilter')
def is_apart(host: HostState, spec: Spec) -> str | None:
    """Not beside one of the project's servers that the hint ``different_host`` names."""
    return 'with servers to be apart from' if host.host in spec.apart else None


@filter('RetryFilter')
def is_fresh(host: HostState, spec: Spec) -> str | None:
    """A host that failed to build the server is not asked again."""
    return 'tried before' if host.host in spec.tried else None


@filter('ImagePropertiesFilter')
def suits_image(host: HostState, spec: Spec) -> str | None:
    """The architecture and hypervisor type that the image asks for."""
    architecture = spec.image.get('hw_architecture') or spec.image.get('architecture')
    if architecture and host.cpu_info.get('arch') and host.cpu_info['arch'] != architecture:
        return 'of another architecture'
    kind = spec.image.get('img_hv_type') or spec.image.get('hypervisor_type')
    if kind and kind.lower() != host.hypervisor_type.lower() and {kind.lower(), host.hypervisor_type.lower()} != {
            'kvm', 'qemu'}:
        return 'with another hypervisor'
    return None


@filter('RamFilter')
def has_ram(host: HostState, spec: Spec) -> str | None:
    """Memory, after over-commitment."""
    return 'short of RAM' if host.free_ram_mb < spec.ram_mb else None


@filter('CoreFilter')
def has_cores(host: HostState, spec: Spec) -> str | None:
    """CPUs, after over-commitment; no server gets more of them than the host may promise."""
    return 'short of CPUs' if host.free_vcpus < spec.vcpus else None


@filter('DiskFilter')
def has_disk(host: HostState, spec: Spec) -> str | None:
    """Disk, after over-commitment."""
    return 'short of disk' if host.free_disk_gb < spec.disk_gb else None


def check(names: Iterable[str]) -> None:
    """``errors.Invalid`` for a filter in the configuration that does not exist."""
    unknown = [name for name in names if name not in FILTERS]
    if unknown:
        raise errors.Invalid('[filter_scheduler] enabled_filters: there is no {unknown}; there are {known}.',
                             unknown=', '.join(unknown), known=', '.join(sorted(FILTERS)))


def passing(hosts: Iterable[HostState], spec: Spec, names: Sequence[str]
            ) -> tuple[list[HostState], Counter[str]]:
    """The hosts that no filter objects to, and a count of the objections."""
    objections: Counter[str] = Counter()
    fit = []
    for host in hosts:
        reason = next((why for name in names if (why := FILTERS[name](host, spec))), None)
        if reason:
            objections[reason] += 1
        else:
            fit.append(host)
    return fit, objections


def sentence(objections: Counter[str]) -> str:
    """``No valid host was found: 3 short of RAM, 1 disabled.``"""
    why = ', '.join(f'{count} {reason}' for reason, count in objections.most_common())
    return f'No valid host was found: {why or "no compute host has reported yet"}.'
