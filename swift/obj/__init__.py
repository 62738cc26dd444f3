"""Objects on disk, the server that serves them and the daemons that keep them."""
