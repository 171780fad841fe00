"""Sends changes to all viewers as they happen, from one look at the record per second."""
