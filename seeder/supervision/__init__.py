"""Runs programs as long as this process runs: restarts those that die, and leaves none behind."""

from seeder.supervision.supervisor import Service, supervise

__all__ = ["Service", "supervise"]
