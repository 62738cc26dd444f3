"""The ground floor: mechanism only, never a cloud noun; imports none of the services."""
