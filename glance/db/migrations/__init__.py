"""How the database of glance came to be, step by step."""
