"""What account, container and object servers share on a disk."""
