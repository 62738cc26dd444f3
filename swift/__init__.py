"""Object storage: rings now, the servers that stand on them later."""
