"""What hypervisors call servers: ``instance_name_template``, filled in."""

from typing import Any

from nova.wiring import Wiring


def named(wiring: Wiring, server: Any) -> str:
    """A server's name to its hypervisor; ``server`` is one, or a row of ``server_lists.on_hosts``."""
    template: str = wiring.conf.instance_name_template
    if '%(' not in template:
        return template % server.number
    return template % {'id': server.number, 'uuid': server.id, 'hostname': server.hostname}
