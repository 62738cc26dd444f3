"""Hypervisors: the driver interface, its implementations, and the images guests are made of."""
