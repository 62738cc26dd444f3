"""What ``tools/onestack`` does once it has a virtual environment: the launcher of a one-host cloud."""
