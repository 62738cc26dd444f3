"""The long operations of nova-compute: a file per flow, a step beside its undo."""
