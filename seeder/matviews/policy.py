"""How matviews are to be treated: the settings that matter here, as one value."""

from dataclasses import dataclass

from seeder.matviews.lock import Limits
from seeder.settings import OnQueryChange, RefreshMode, Settings
from seeder.sql.names import quoted


@dataclass(frozen=True)
class Policy:
    mode: RefreshMode
    on_query_change: OnQueryChange
    #: The role that manifests run as and that owns the matviews; None is the connection's own.
    role: str | None
    allowed_functions: tuple[str, ...]
    limits: Limits

    @property
    def set_role(self) -> str:
        """A statement that holds for the transaction; empty where no role is configured."""
        return f"set local role {quoted(self.role)};\n" if self.role else ""


def policy_of(settings: Settings) -> Policy:
    """``pg_catalog`` comes first and ``pg_temp`` last, so that neither a function in a schema people may
    write to nor a temporary table takes the place of what a manifest means
    (https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH).
    """
    return Policy(
        mode=settings.refresh_mode,
        on_query_change=settings.on_query_change,
        role=settings.manifest_role,
        allowed_functions=settings.allowed_functions,
        limits=Limits(
            statement_timeout=settings.statement_timeout,
            lock_timeout=settings.lock_timeout,
            search_path=f"pg_catalog, {quoted(settings.db_schema)}, public, pg_temp",
        ),
    )
