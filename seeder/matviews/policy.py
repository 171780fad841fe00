"""How a matview is treated: the settings that apply, and what its manifest says, as one value."""

from dataclasses import dataclass, replace

from seeder.config.settings import OnQueryChange, Settings
from seeder.errors import RoleRefused
from seeder.matviews.limits import Limits
from seeder.sql.directives import Directives, Index, RefreshMode, read_expectations
from seeder.sql.expectations import Expectation, as_duration, combined
from seeder.sql.names import quoted

#: What seeder (seeder.postgres.prepared) and psycopg2 (which reads dates as ISO has them) set for their
#: statements.
ROLES_OWN = "set local plan_cache_mode to default; set local datestyle to default;\n"


@dataclass(frozen=True)
class Policy:
    mode: RefreshMode
    on_query_change: OnQueryChange
    #: The role that manifests run as and that owns the matviews; None is the connection's own.
    role: str | None
    allowed_functions: tuple[str, ...]
    limits: Limits
    #: The roles that a manifest may choose.
    allowed_roles: tuple[str, ...] = ()
    #: What must hold of new rows before they are shown.
    expect: tuple[Expectation, ...] = ()
    #: The indexes that the matview's manifest asks for.
    indexes: tuple[Index, ...] = ()
    #: Whether a run isn't done whose sources provably haven't changed.
    skip_unchanged: bool = False

    def of_manifest(self, said: Directives) -> "Policy":
        """The policy for one manifest: its directives override the settings, as far as these allow.

        Its timeout can only shorten the general one. Raises RoleRefused for a role that nobody allowed.
        """
        if said.role not in (None, self.role, *self.allowed_roles):
            raise RoleRefused(role=said.role)
        return replace(
            self,
            mode=said.mode or self.mode,
            role=said.role or self.role,
            limits=self.limits
            if said.timeout is None
            else self.limits.shortened(
                said.timeout.total_seconds(), f"the manifest's own timeout={as_duration(said.timeout)}"
            ),
            expect=combined(self.expect, said.expect),
            indexes=said.indexes,
            skip_unchanged=self.skip_unchanged if said.skip_unchanged is None else said.skip_unchanged,
        )

    @property
    def terms(self) -> str:
        """What has been held against the rows that there are."""
        return ", ".join(map(str, self.expect))

    @property
    def set_role(self) -> str:
        """A statement that sets the role for the transaction; empty if no role is configured."""
        return f"set local role {quoted(self.role)};\n" if self.role else ""

    @property
    def look_up(self) -> str:
        """Has the names of what follows in the transaction looked up as a manifest's are, and its settings
        be those of the role: without what is set for statements of our own."""
        path = ", ".join(map(quoted, self.limits.search_path))
        return f"set local search_path = {path};\n{ROLES_OWN}"

    @property
    def as_manifest(self) -> str:
        """Begins what reads or runs a manifest's text; OWN_PATH ends it."""
        return self.look_up + self.set_role


def policy_of(settings: Settings) -> Policy:
    """The policy that the settings make; a manifest may override parts of it."""
    return Policy(
        mode=settings.refresh_mode,
        on_query_change=settings.on_query_change,
        role=settings.manifest_role,
        allowed_functions=settings.allowed_functions,
        limits=Limits(
            statement_timeout=settings.statement_timeout,
            lock_timeout=settings.lock_timeout,
            search_path=settings.schemas_of_manifests,
        ),
        allowed_roles=settings.allowed_roles,
        expect=read_expectations(settings.expect),
        skip_unchanged=settings.skip_unchanged,
    )
