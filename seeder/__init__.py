"""seeder keeps one PostgreSQL materialized view per report manifest fresh, and records every run."""

__version__ = "0.1.0"
