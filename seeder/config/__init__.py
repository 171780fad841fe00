"""Settings as one table, the types of their values, and URLs with their passwords masked."""
