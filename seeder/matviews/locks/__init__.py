"""Who may work on a matview, and how many may work on one database: advisory locks."""
