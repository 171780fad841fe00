"""Runs and their status: the only writer of the contract's two tables, and their reader."""

from seeder.history.repository import HistoryRepository
from seeder.history.rows import Figures, Job, NewRun, Progress, Refusal, Run

__all__ = ["Figures", "HistoryRepository", "Job", "NewRun", "Progress", "Refusal", "Run"]
