"""Runs and their status: the only writer of the contract's two tables, and their reader."""

from seeder.history.queries import WINDOW_DAYS
from seeder.history.repository import HistoryRepository
from seeder.history.rows import Figures, Job, NewRun, NotRecorded, Recorded, Refusal, Run, Seen, Unchanged
from seeder.history.standing import Standing

__all__ = [
    "WINDOW_DAYS",
    "Figures",
    "HistoryRepository",
    "Job",
    "NewRun",
    "NotRecorded",
    "Recorded",
    "Refusal",
    "Run",
    "Seen",
    "Standing",
    "Unchanged",
]
