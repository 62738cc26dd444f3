"""Keystone's tables: one file per aggregate, the model and every query on it."""
