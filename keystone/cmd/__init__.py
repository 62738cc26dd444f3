"""Keystone's commands: the API daemon and the operator's tool."""
