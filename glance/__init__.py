"""Images: what a server's disk starts from, kept whole and honest about what they are."""
