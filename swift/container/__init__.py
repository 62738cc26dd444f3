"""Containers: lists of objects, a database each."""
