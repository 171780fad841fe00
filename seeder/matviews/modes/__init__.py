"""In which of PostgreSQL's ways a matview is refreshed, and what each of them has taken."""
