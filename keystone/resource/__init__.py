"""Domains and the projects in them."""
