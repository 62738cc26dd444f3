"""What tests of every service need: conditions to wait for, a still clock, ports, real servers."""
