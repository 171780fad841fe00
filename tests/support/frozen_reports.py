"""Makes reports as a run leaves them: a stamped matview, and its rows in the record."""

from support.contract import Platform, new_run

from seeder.history import Figures
from seeder.matviews import stamp
from seeder.matviews.stamp import Stamp


def stamped(
    platform: Platform, name: str, identity: str = "custom-1", query: str = "select 1 as one"
) -> None:
    """A matview as a run of that manifest leaves it."""
    comment = stamp.written("Mine.", Stamp(identity, "s", "f", 1)).replace("'", "''")
    platform.sql(f"""
        create materialized view {name} as {query};
        comment on materialized view {name} is '{comment}'
    """)


def recorded(platform: Platform, table_name: str, identity: str = "custom-1") -> None:
    report_type, _, number = identity.partition("-")
    run = new_run(f"20261124T0200Z.{identity}", table_name, report_type=report_type, manifest_id=int(number))
    platform.history.queue([run])
    begun = platform.history.start(run.run_id, table_name)
    assert begun is not None
    platform.history.succeed(begun, Figures(1, 8192))


def frozen_and_others(platform: Platform, view: str = "public.on_top") -> None:
    """Two frozen reports, one of which a view reads; beside them one whose manifest is switched off, and one
    that has its manifest."""
    platform.custom(1, table_name="alive")
    platform.custom(4, table_name="resting", enabled=False)
    stamped(platform, "reporting.resting", "custom-4")
    stamped(platform, "reporting.sales", "custom-2")
    stamped(platform, "reporting.visits", "canned-3")
    platform.sql(f"create view {view} as select one from reporting.visits")
    recorded(platform, "sales", "custom-2")
    recorded(platform, "visits", "canned-3")
