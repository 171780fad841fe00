"""Facts about a matview that are shown to people: its state, the sessions that use it, its dependencies."""
