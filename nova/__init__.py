"""Compute, and with it networks and volumes."""
