"""The metadata of images behind one interface: in this process, or over HTTP in glance-registry."""
