"""Everything that uses the driver: connections, statements, what an error means, what a backend used."""
