"""Counters of a server's guest -- /servers/{id}/diagnostics: one form since 2.48, the hypervisor's own before."""

from typing import Any

from nova.api.compute import app
from nova.api.policy import ADMIN, rule
from nova.compute import administration
from strata.rest import Request

PATH = '/servers/{id}/diagnostics'
RULE = rule('os-server-diagnostics', ADMIN)


@app.get(PATH, first='2.48', allow=RULE)
def show(req: Request, id: str) -> dict[str, Any]:
    """What the guest has and what it did, in the same form whatever runs it."""
    return administration.diagnostics(req.wiring, req.context, id)


@app.get(PATH, last='2.47', allow=RULE)
def show_flat(req: Request, id: str) -> dict[str, Any]:
    """The same as a flat list of counters, as libvirt's users knew it."""
    full = administration.diagnostics(req.wiring, req.context, id)
    flat: dict[str, Any] = {'memory': full['memory_details']['maximum'] * 1024}
    flat.update({f'cpu{index}_time': cpu['time'] for index, cpu in enumerate(full['cpu_details'])})
    for index, disk in enumerate(full['disk_details']):
        name = f'vd{chr(ord("a") + index % 26)}'
        flat.update({f'{name}_read': disk['read_bytes'], f'{name}_read_req': disk['read_requests'],
                     f'{name}_write': disk['write_bytes'], f'{name}_write_req': disk['write_requests'],
                     f'{name}_errors': disk['errors_count']})
    for index, nic in enumerate(full['nic_details']):
        for way in ('rx', 'tx'):
            flat[f'vnet{index}_{way}'] = nic[f'{way}_octets']
            flat.update({f'vnet{index}_{way}_{name}': nic[f'{way}_{name}'] for name in ('drop', 'packets')})
            flat[f'vnet{index}_{way}_errors'] = nic[f'{way}_errors']
    return flat
