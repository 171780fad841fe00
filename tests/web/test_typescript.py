"""The types for the frontend are those of real answers, as TypeScript's own compiler sees it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from support.contract import Platform
from support.frozen_reports import stamped
from test_jobs import run

from seeder.web.api.typescript import typescript

ROOT = Path(__file__).parents[2]
COMPILER = ROOT / ".venv" / "node" / "node_modules" / ".bin" / "tsc"


@pytest.fixture
def compiler() -> Path:
    if not (COMPILER.exists() and shutil.which("node")):
        complain = pytest.fail if os.environ.get("CI") else pytest.skip
        complain(f"There is no TypeScript compiler at {COMPILER}: install Node.js with npm, then `make env`")
    return COMPILER


def compiled(compiler: Path, folder: Path, **files: str) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (folder / f"{name}.ts").write_text(text)
    command = [compiler, "--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler"]
    return subprocess.run(
        [*command, *(f"{name}.ts" for name in files)],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_real_answers_are_of_the_types(
    compiler: Path, tmp_path: Path, platform: Platform, client: TestClient
) -> None:
    platform.custom(1, table_name="sales")
    platform.custom(2, table_name="new", enabled=False)
    run(platform, 1, "sales")
    stamped(platform, "reporting.gone", "custom-3")
    run(platform, 1, "sales", "20261125T0200Z", errors='42P01: "missing"')
    jobs, history, summary, runs, detail, problem, frozen = (
        client.get(path).json()
        for path in (
            "/api/jobs",
            "/api/jobs/sales/history",
            "/api/summary",
            "/api/history",
            "/api/jobs/sales",
            "/api/x",
            "/api/frozen",
        )
    )  # fmt: skip
    mocks = f"""
        import type {{ SeederJob, SeederHistory, JobPage, HistoryPage, RunPage, Summary, JobDetail, Problem,
                       FrozenList }}
            from "./seeder";
        export const mockSeederData: SeederJob[] = {json.dumps(jobs["items"])};
        export const mockSeederHistory: SeederHistory[] = {json.dumps(history["items"])};
        export const answers: [JobPage, HistoryPage, RunPage, Summary, JobDetail, Problem, FrozenList] =
            {json.dumps([jobs, history, runs, summary, detail, problem, frozen])};
    """
    done = compiled(compiler, tmp_path, seeder=typescript(), mocks=mocks)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "value",
    [
        "{ runId: 1 }",
        '{ status: "fine" }',
        "{ durationSeconds: '1' }",
        "{ colour: 1 }",
        "{ startTime: null }",
    ],
)
def test_what_is_otherwise_is_not(compiler: Path, tmp_path: Path, value: str) -> None:
    user = (
        f'import type {{ SeederHistory }} from "./seeder"; export const x: Partial<SeederHistory> = {value};'
    )
    done = compiled(compiler, tmp_path, seeder=typescript(), user=user)
    assert done.returncode != 0
    assert "error TS" in done.stdout


def test_the_types_are_made_from_the_models_anew_each_time_alike() -> None:
    assert typescript() == typescript()
    assert "export type SeederJob = JobRow;" in typescript()
    assert 'status: "pending" | "running" | "success" | "error" | null;' in typescript()
