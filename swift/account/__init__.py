"""Accounts: lists of containers, a database each."""
