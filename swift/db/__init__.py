"""Account and container databases: what both kinds share, below their servers and daemons."""
