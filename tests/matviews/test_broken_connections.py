"""A connection that breaks between the statements of a refresh, too, is trouble that another try may mend."""

import pytest
from support.workbench import Bench

from seeder.errors import DatabaseTrouble
from seeder.matviews.upkeep import bring_up_to_date


@pytest.mark.parametrize("reports", [False, True], ids=["process", "server's report"])
@pytest.mark.parametrize("directives", ["-- seeder: timeout=5min\n", ""], ids=["own limits", "usual ones"])
def test_a_session_that_was_ended_before_its_first_statement(
    bench: Bench, directives: str, reports: bool
) -> None:
    manifest, policy = bench.manifest(f"{directives}select * from sale"), bench.policy()
    with bench.claimed(manifest, policy) as (session, found):
        if reports:
            # As that of a server on another host.
            session._connection.info["backend"] = None
        bench.sql(f"select pg_terminate_backend({session.backend_pid}, 30000)")
        with pytest.raises(DatabaseTrouble):
            bring_up_to_date(session, manifest, found, policy)
