"""Runs and their status: the only writer of the contract's two tables, and their reader."""

from seeder.history.repository import WINDOW_DAYS, HistoryRepository
from seeder.history.rows import Figures, Job, NewRun, Recorded, Refusal, Run

__all__ = [
    "WINDOW_DAYS",
    "Figures",
    "HistoryRepository",
    "Job",
    "NewRun",
    "Recorded",
    "Refusal",
    "Run",
]
