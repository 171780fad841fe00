"""What an operator watches: all jobs with what is unusual about them, kept in memory and up to date."""

from seeder.monitoring.jobs import FLAGS, MonitoredJob
from seeder.monitoring.listing import SORTS, JobQuery
from seeder.monitoring.monitor import Monitor
from seeder.monitoring.snapshot import Look, Snapshot

__all__ = ["FLAGS", "SORTS", "JobQuery", "Look", "Monitor", "MonitoredJob", "Snapshot"]
