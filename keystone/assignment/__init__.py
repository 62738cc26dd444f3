"""Who may what where: roles, what they imply, and to whom they were given."""
