"""Keystone's schema, step by step (alembic)."""
