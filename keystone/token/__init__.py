"""Tokens: their keys, what is inside them, what they are worth now."""
