"""A run's life: claimed, started, kept waiting, recorded, cancelled, handed back at a shutdown."""
