"""The tables of glance, one file per aggregate, and every query on them."""
