"""A seeding's life: planned, recorded and queued as a whole, overdue, caught up."""
