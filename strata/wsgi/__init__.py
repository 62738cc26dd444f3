"""HTTP below the applications: the server, and the filters of the paste pipelines."""
