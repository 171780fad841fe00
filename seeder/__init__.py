"""seeder keeps one PostgreSQL materialized view per report manifest fresh, and records every run."""
