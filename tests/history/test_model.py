"""The two tables against a small model in Python, over anything that can be reported in any order."""

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from support.contract import Platform, as_it_is, new_run

from seeder.history import Figures, Recorded, Refusal, Seen

TABLES = st.sampled_from(["sales", "fleet"])
NIGHTS = st.integers(1, 4)
WORDS = st.sampled_from(["division by zero", "lost the connection"])
OPEN = ("pending", "running")

#: As docs/schema.md has it.
CANCELLED, EARLIER = "Cancelled by ", "\nThe last failure before that: "


@dataclass
class ModelRun:
    number: int
    table: str
    status: str
    failures: int
    errors: str | None = None
    began: bool = False
    attempts: int = 0


@dataclass
class ModelStatus:
    run: str
    status: str
    failures: int
    errors: str | None


class Model:
    """What the record must say, told as simply as can be: one run after the other, in memory."""

    def __init__(self) -> None:
        self.runs: dict[str, ModelRun] = {}
        self.jobs: dict[str, ModelStatus] = {}
        #: Of each table the run that began last: it has the lock, if any has.
        self.latest: dict[str, str] = {}

    def add(self, run_id: str, table: str, status: str, errors: str | None = None) -> None:
        if run_id not in self.runs:
            failures = self.so_far(table) + (status == "error")
            self.runs[run_id] = ModelRun(len(self.runs), table, status, failures, errors)
            self.show(run_id)

    def move(self, run_id: str, status: str, errors: str | None, *, keep: bool = False) -> None:
        run = self.runs.get(run_id)
        if run is None or run.status not in OPEN:
            return
        run.status = status
        if status == "running":
            run.began, self.latest[run.table] = True, run_id
        run.errors = run.errors if keep else errors
        run.failures = 0 if status == "success" else self.so_far(run.table) + (status == "error")
        self.show(run_id)

    def start(self, run_id: str) -> None:
        self.move(run_id, "running", None, keep=True)
        if run_id in self.runs and self.runs[run_id].status == "running":
            self.runs[run_id].attempts += 1

    def is_at_work(self, run_id: str, attempt: int) -> bool:
        run = self.runs[run_id]
        return run.status == "running" and run.attempts == attempt

    def so_far(self, table: str) -> int:
        return self.jobs[table].failures if table in self.jobs else 0

    def pending(self, table: str) -> list[str]:
        """The table's runs that have yet to begin, the first queued first."""
        found = [key for key, run in self.runs.items() if run.table == table and run.status == "pending"]
        return sorted(found, key=lambda key: self.runs[key].number)

    def show(self, run_id: str) -> None:
        run, job = self.runs[run_id], self.jobs.get(self.runs[run_id].table)
        if job is None:
            self.jobs[run.table] = ModelStatus(run_id, run.status, run.failures, run.errors)
            return
        job.run = self.instead_of(run_id, job.run)
        if job.run != run_id and self.runs[job.run].status not in OPEN:
            job.failures = run.failures
            return
        if run.status == "success":
            job.errors = run.errors
        elif (run.errors or "").startswith(CANCELLED) and job.failures:
            before = job.errors or ""
            failed = before.partition(EARLIER)[2] if before.startswith(CANCELLED) else before
            job.errors = f"{run.errors}{EARLIER}{failed}" if failed else run.errors
        else:
            job.errors = run.errors or job.errors
        job.status, job.failures = self.runs[job.run].status, run.failures

    def instead_of(self, moved: str, shown: str) -> str:
        """Which run shows, after one has moved."""
        run, other = self.runs[moved], self.runs[shown]
        if run.status == "running":
            return moved
        if shown != moved:
            newer = other.number > run.number
            stays = {"running": True, "pending": run.status != "pending" or newer}
            ended = run.status != "pending" and newer
            return shown if stays.get(other.status, ended) else moved
        left = [
            (one.status == "running", one.number, key)
            for key, one in self.runs.items()
            if one.table == run.table
            and (one.status == "pending" or (one.status == "running" and not run.began))
        ]
        return moved if run.status in OPEN or not left else max(left)[2]


class Record(RuleBasedStateMachine):
    """Drives the real tables and the model by the same reports."""

    platform: Platform

    def __init__(self) -> None:
        super().__init__()
        self.platform.empty()
        self.model = Model()
        #: All that ever began: the run, its how many attempt, and how that knows the run.
        self.attempts: list[tuple[str, int, Seen]] = []

    @rule(nights=st.lists(st.tuples(NIGHTS, TABLES), min_size=1, max_size=4, unique_by=lambda one: one[1]))
    def queue(self, nights: list[tuple[int, str]]) -> None:
        # A fan-out's runs go in by the tables' names.
        waiting = {}
        for night, table in sorted(nights, key=lambda one: one[1]):
            run_id = f"{night}.{table}"
            pending = self.model.pending(table)
            if pending and run_id not in self.model.runs:
                # Of several the last, which waits for the most.
                waiting[table] = pending[-1]
            else:
                self.model.add(run_id, table, "pending")
        recorded = self.platform.history.queue(
            [new_run(f"{night}.{table}", table) for night, table in nights]
        )
        assert recorded == Recorded([], waiting)

    @rule(night=NIGHTS, table=TABLES, words=WORDS)
    def refuse(self, night: int, table: str, words: str) -> None:
        self.model.add(f"{night}.{table}", table, "error", words)
        self.platform.history.refuse([Refusal(new_run(f"{night}.{table}", table), words)])

    @rule(night=NIGHTS, table=TABLES)
    def start(self, night: int, table: str) -> None:
        self.model.start(f"{night}.{table}")
        run = self.model.runs.get(f"{night}.{table}")
        started = self.platform.history.start(f"{night}.{table}", table)
        assert (started and started.status) == (run and run.status)
        if started and run and started.status == "running":
            self.attempts.append((f"{night}.{table}", run.attempts, started))

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), said=st.sampled_from(["retry", "fail", "succeed"]), words=WORDS)
    def say_of_any_attempt(self, data: st.DataObject, said: str, words: str) -> None:
        run_id, attempt, seen = data.draw(st.sampled_from(self.attempts))
        if self.model.is_at_work(run_id, attempt):
            status, errors = {
                "retry": ("pending", words), "fail": ("error", words), "succeed": ("success", None)
            }[said]  # fmt: skip
            self.model.move(run_id, status, errors)
        if said == "succeed":
            self.platform.history.succeed(seen, Figures(1, 1))
        else:
            getattr(self.platform.history, said)(seen, words)

    @rule(night=NIGHTS, table=TABLES, words=WORDS)
    def retry(self, night: int, table: str, words: str) -> None:
        self.model.move(f"{night}.{table}", "pending", words)
        self.platform.history.retry(as_it_is(self.platform.history, f"{night}.{table}"), words)

    @rule(night=NIGHTS, table=TABLES, words=WORDS)
    def fail(self, night: int, table: str, words: str) -> None:
        self.model.move(f"{night}.{table}", "error", words)
        self.platform.history.fail(as_it_is(self.platform.history, f"{night}.{table}"), words)

    @rule(night=NIGHTS, table=TABLES)
    def cancel(self, night: int, table: str) -> None:
        self.model.move(f"{night}.{table}", "error", f"Cancelled by night {night}.")
        self.platform.history.cancel(as_it_is(self.platform.history, f"{night}.{table}"), f"night {night}.")

    @rule(night=NIGHTS, table=TABLES, note=st.none() | st.just("Refreshed plain."))
    def succeed(self, night: int, table: str, note: str | None) -> None:
        self.model.move(f"{night}.{table}", "success", None)
        self.platform.history.succeed(
            as_it_is(self.platform.history, f"{night}.{table}"), Figures(1, 1), note
        )

    @invariant()
    def the_tables_say_what_the_model_says(self) -> None:
        runs = self.platform.sql("""
            select run_id, table_name, status, consecutive_failures, errors
            from reporting.seeder_run_history order by id
        """)
        assert runs == [
            (run_id, one.table, one.status, one.failures, one.errors)
            for run_id, one in self.model.runs.items()
        ]
        jobs: list[Any] = self.platform.sql("""
            select table_name, last_run_id, status, consecutive_failures, last_errors
            from reporting.seeder_job_status order by table_name
        """)
        assert jobs == [
            (table, job.run, job.status, job.failures, job.errors)
            for table, job in sorted(self.model.jobs.items())
        ]

    @invariant()
    def who_is_at_work_shows_and_else_who_waits(self) -> None:
        for table, job in self.model.jobs.items():
            latest = self.model.latest.get(table)
            if latest and self.model.runs[latest].status == "running":
                assert job.run == latest
            elif self.model.pending(table):
                assert job.status == "pending"


def test_the_record_agrees_with_the_model_whatever_is_reported(platform: Platform) -> None:
    run_state_machine_as_test(
        type("RecordHere", (Record,), {"platform": platform}),
        settings=settings(
            max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
