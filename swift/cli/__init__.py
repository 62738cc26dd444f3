"""Commands of the operator that talk to files rather than to servers."""
