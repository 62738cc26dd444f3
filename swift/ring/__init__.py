"""The ring: which devices keep a partition, and which stand in for them."""
