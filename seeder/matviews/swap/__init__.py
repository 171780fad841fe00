"""Builds a new matview beside the old one, copies everything that is set on it, and exchanges the two."""
