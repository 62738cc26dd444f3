"""The proxy: what clients talk to; it finds the replicas of a path and asks, or tells, enough of them."""
