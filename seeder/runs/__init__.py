"""A run's life: claimed, kept waiting, recorded, cancelled, handed back at a shutdown."""
