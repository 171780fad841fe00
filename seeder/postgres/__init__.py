"""The one home of the driver: connections, statements, what an error means, what a backend used."""
