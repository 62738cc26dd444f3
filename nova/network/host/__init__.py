"""The privileged lower half of nova-network: links, namespaces, DHCP, filters and routers of one host.

Only the helper process (``nova.network.helper``) imports these modules: they are plain blocking code
that changes the thread's network namespace and needs root.
"""
