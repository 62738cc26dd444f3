"""The commands of glance."""
