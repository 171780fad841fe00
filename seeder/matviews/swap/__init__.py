"""A matview built beside the old one, given all that is on it, and exchanged for it."""
