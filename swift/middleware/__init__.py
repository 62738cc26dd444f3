"""What stands between a client and the proxy (or a storage server): filters, a file each, loaded by paste."""
