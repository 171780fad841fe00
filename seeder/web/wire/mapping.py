"""Our values as the API's models."""

from typing import Any

from seeder.history.cancelled import is_cancelled
from seeder.history.pages import DatedRun
from seeder.models import RunStatus
from seeder.monitoring import MonitoredJob
from seeder.web.wire.history import HistoryRow, RunRow
from seeder.web.wire.jobs import JobChange, JobRow


def job_row(one: MonitoredJob) -> JobRow:
    job: Any = one.job
    return JobRow(
        id=job.manifest_id,
        report_name=job.report_name,
        table_name=job.table_name,
        report_type=job.report_type,
        status=job.status,
        duration_seconds=job.duration_seconds,
        start_time=job.start_time,
        consecutive_failures=job.consecutive_failures,
        agency_id=job.agency_id,
        agency_name=job.agency_name,
        agency_slug=job.agency_slug,
        last_errors=job.last_errors,
        last_run_id=job.last_run_id,
        finish_time=job.finish_time,
        records_processed=job.records_processed,
        bytes_processed=job.bytes_processed,
        next_run=one.next_run,
        usual_seconds=one.usual_seconds,
        last_success=one.last_success,
        is_failing=one.is_failing,
        is_cancelled=one.is_cancelled,
        is_long_running=one.is_long_running,
        is_stale=one.is_stale,
        never_run=one.never_run,
        enabled=one.enabled,
    )


def job_change(one: MonitoredJob) -> JobChange:
    job: Any = one.job
    return JobChange(
        table_name=job.table_name,
        report_type=job.report_type,
        id=job.manifest_id,
        status=job.status,
        run_id=job.last_run_id,
        start_time=job.start_time,
        finish_time=job.finish_time,
        duration_seconds=job.duration_seconds,
        consecutive_failures=job.consecutive_failures,
        is_failing=one.is_failing,
        is_cancelled=one.is_cancelled,
        is_long_running=one.is_long_running,
        is_stale=one.is_stale,
    )


def _figures(run: DatedRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "status": run.status,
        "start_time": run.start_time,
        "finish_time": run.finish_time,
        "duration_seconds": run.duration_seconds,
        "records_processed": run.records_processed,
        "bytes_processed": run.bytes_processed,
        "memory_usage_mb": run.memory_usage_mb,
        "cpu_percentage": run.cpu_percentage,
        "errors": run.errors,
        "note": run.note,
        "attempts": run.attempts,
    }


def history_row(run: DatedRun) -> HistoryRow:
    return HistoryRow(**_figures(run))


def run_row(run: DatedRun) -> RunRow:
    what: Any = run
    return RunRow(
        **_figures(run),
        id=what.manifest_id,
        report_type=what.report_type,
        report_name=what.report_name,
        table_name=what.table_name,
        agency_slug=what.agency_slug,
        consecutive_failures=what.consecutive_failures or 0,
        is_cancelled=run.status == RunStatus.ERROR and is_cancelled(run.errors),
    )
