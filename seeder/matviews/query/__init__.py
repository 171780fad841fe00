"""What a manifest's query means to PostgreSQL: its names and functions, its privileges, its cost."""
