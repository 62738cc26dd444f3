"""Tempest against a cloud of onestack's: its configuration, and what it is not asked."""
