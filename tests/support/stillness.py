"""Reports over tables to which nobody, or somebody, writes: what is decided of their next run."""

from dataclasses import dataclass, field
from typing import Any

from support.workbench import Bench

from seeder.manifests import Manifest
from seeder.matviews.freshness.unchanged import Decision, decisions
from seeder.matviews.freshness.why import Kind
from seeder.matviews.policy import Policy
from seeder.matviews.result import RefreshResult


@dataclass
class Reports:
    """Runs of manifests with skipping on, and what is decided before each."""

    bench: Bench
    made: dict[str, Manifest] = field(default_factory=dict)

    def policy(self, **settings: Any) -> Policy:
        return self.bench.policy(skip_unchanged=True, **settings)

    def report(self, query: str = "select * from sale", name: str = "sales", number: int = 1) -> Manifest:
        """One that is there and was refreshed since, so that its evidence is taken."""
        self.made[name] = self.bench.manifest(query, name, manifest_id=number)
        self.tell()
        for _ in range(2):
            self.refresh(name)
        return self.made[name]

    def refresh(self, name: str = "sales", **settings: Any) -> RefreshResult:
        return self.bench.refresh(self.made[name], self.policy(**settings))

    def write(self, *statements: str) -> None:
        """As a person does it, whose session tells of it at once and not seconds later."""
        for statement in statements:
            self.bench.sql(statement)
        self.tell()

    def tell(self) -> None:
        self.bench.sql("select pg_stat_force_next_flush()")

    def decision(self, name: str = "sales", **settings: Any) -> Decision:
        manifest, policy = self.made[name], self.policy(**settings)
        with self.bench.platform.databases.session() as session:
            asked = [(manifest, policy.of_manifest(manifest.directives))]
            return decisions(session, asked, policy.limits.search_path)[manifest.identity]

    def kinds(self, name: str = "sales", **settings: Any) -> set[Kind]:
        return {why.kind for why in self.decision(name, **settings).why}
