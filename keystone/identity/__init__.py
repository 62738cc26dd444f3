"""Users, their passwords, and groups."""
