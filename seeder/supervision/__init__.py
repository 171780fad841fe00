"""Programs that are kept running while we run, and are gone when we are."""

from seeder.supervision.supervisor import Service, supervise

__all__ = ["Service", "supervise"]
