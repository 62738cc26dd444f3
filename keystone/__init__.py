"""Identity: who somebody is, what they may touch, and where the services are."""
