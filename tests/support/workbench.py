"""Refreshes matviews without a worker: what a run does between locking and unlocking its matview."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support.contract import Platform

from seeder.config.settings import Settings
from seeder.manifests import Manifest
from seeder.matviews import Found, Policy, RefreshResult, bring_up_to_date, policy_of, stamp
from seeder.matviews.locks import lock
from seeder.matviews.stamp import Stamp
from seeder.models import ReportType
from seeder.postgres.session import Session

TABLE = """
create table public.sale (id integer, agency_id integer, amount numeric);
insert into public.sale select n, 7, n from generate_series(1, 100) as n;
"""


class Bench:
    """Runs manifests over one table of 100 rows."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.sql, self.value = platform.sql, platform.value
        self.sql(TABLE)

    def policy(self, *, role: str | None = None, **settings: Any) -> Policy:
        made = Settings(manifest_role=role, **settings)
        return policy_of(made)

    def manifest(
        self, query: str = "select * from sale", table_name: str = "sales", **fields: Any
    ) -> Manifest:
        usual = {"report_name": "Sales", "agency_id": 7, "agency_slug": "ua", "database_id": None}
        return Manifest(
            **{
                "report_type": ReportType.CUSTOM,
                "manifest_id": 1,
                "raw_table_name": table_name,
                "raw_query": query,
                "default_schema": "reporting",
                **usual,
                **fields,
            }
        )

    @contextmanager
    def claimed(self, manifest: Manifest, policy: Policy) -> Iterator[tuple[Session, Found]]:
        with self.platform.databases.session() as session:
            try:
                yield session, lock.take(session, manifest.matview, "seeder n1.custom-1 0", policy.limits)
            finally:
                # Refused too, it bears the run's name, which must not go back into the pool.
                if not session.closed:
                    lock.release(session, manifest.matview)

    def refresh(self, manifest: Manifest | None = None, policy: Policy | None = None) -> RefreshResult:
        """One run of the manifest, by default of the one that copies the table."""
        manifest, policy = manifest or self.manifest(), policy or self.policy()
        with self.claimed(manifest, policy) as (session, found):
            return bring_up_to_date(session, manifest, found, policy)

    # --- what is there -------------------------------------------------------------------------------

    def comment(self, matview: str = "reporting.sales") -> str | None:
        text: str | None = self.value(f"select obj_description('{matview}'::regclass, 'pg_class')")
        return text

    def stamp(self, matview: str = "reporting.sales") -> Stamp | None:
        return stamp.read(self.comment(matview))

    def relations(self) -> set[str]:
        return {
            row[0]
            for row in self.sql("""
                select relname from pg_class where relnamespace = 'reporting'::regnamespace
                and relkind in ('r', 'm', 'v') and relname not like 'seeder\\_%'
            """)
        }

    def rewritten(self, matview: str = "reporting.sales") -> int:
        """Changes with each plain refresh, and not with a concurrent one."""
        number: int = self.value(f"select pg_relation_filenode('{matview}'::regclass)")
        return number
