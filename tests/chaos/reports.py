"""The manifests, and what in the database itself bears witness to what becomes of them.

``public.witness`` is called by each manifest's SQL, so by whoever refreshes it, and before that an event
trigger fires, while PostgreSQL has no lock on the matview yet that would have a second refresh wait. Both
take a lock of the transaction, so they see when somebody else is at it, and say so in the server's log, which
no rollback takes back. ``public.events`` is written by a trigger at every move of a run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from seeder.sql.names import quoted

TWICE = "refreshed twice at once: report"

WITNESSES = rf"""
create table public.facts (id integer primary key, value integer not null);
insert into public.facts select g, g * g from generate_series(1, 60) as g;

-- A row in it: nothing is slow any more, and nothing fails by chance.
create table public.calm (since timestamptz not null default clock_timestamp());

create table public.witnessed (
    report integer not null,
    pid integer not null,
    began timestamptz not null,
    ended timestamptz not null default clock_timestamp()
);

-- To whom GRANT gives (chaos.foreign).
create role bi;

create function public.alone(report integer) returns void language plpgsql as $$
begin
    if not pg_try_advisory_xact_lock(4711, report) then
        raise exception using message = '{TWICE} ' || report;
    end if;
end $$;

-- What is created, perhaps under another name at first, is known by its SQL, what is refreshed by its name.
create function public.announce() returns event_trigger language plpgsql as $$
declare
    report constant text = coalesce(substring(current_query() from 'witness\((\d+)'),
                                    substring(current_query() from '(\d+) as quiet'),
                                    substring(current_query() from 'report_(\d+)'));
begin
    if report is not null then
        perform public.alone(report::integer);
    end if;
end $$;
create event trigger announce on ddl_command_start
when tag in ('CREATE MATERIALIZED VIEW', 'REFRESH MATERIALIZED VIEW')
execute function public.announce();

create function public.witness(report integer, seconds float8, odds float8, state text) returns integer
language plpgsql volatile as $$
declare
    began constant timestamptz = clock_timestamp();
begin
    perform public.alone(report);
    if not exists (select from public.calm) then
        if random() < odds then
            raise exception using errcode = state, message = 'a failure by chance';
        end if;
        perform pg_sleep(seconds);
    end if;
    insert into public.witnessed (report, pid, began) values (report, pg_backend_pid(), began);
    return 1;
end $$;

create table public.events (
    id bigserial primary key,
    at timestamptz not null default clock_timestamp(),
    run_id text not null,
    table_name text not null,
    status text not null,
    consecutive_failures integer,
    errors text,
    note text,
    pid integer not null default pg_backend_pid()
);
create index on public.events (run_id);

create function public.tell() returns trigger language plpgsql as $$
begin
    insert into public.events (run_id, table_name, status, consecutive_failures, errors, note)
    values (new.run_id, new.table_name, new.status, new.consecutive_failures, new.errors, new.note);
    return null;
end $$;
create trigger tell after insert or update on reporting.seeder_run_history
for each row execute function public.tell();
"""

FACTS = "public.facts"


@dataclass(frozen=True)
class Report:
    """One manifest. ``odds`` is how often it fails by chance, with SQLSTATE ``state``."""

    number: int
    directives: str = ""
    source: str = FACTS
    seconds: float = 0.0
    odds: float = 0.0
    state: str = "P0001"
    #: Never succeeds: by its own fault, or since what it reads doesn't (``not_run``).
    fails: bool = False
    not_run: bool = False
    #: Calls nothing, so that it can be told that it is unchanged.
    quiet: bool = False
    #: The reports that it reads.
    reads: tuple[int, ...] = ()

    @property
    def table_name(self) -> str:
        return f"report_{self.number}"

    @property
    def matview(self) -> str:
        return f"reporting.{quoted(self.table_name)}"

    def query(self, version: int) -> str:
        """Its SQL; of another version another one that means something else."""
        if self.quiet:
            return (
                f"{self.directives}select id, value, {self.number} as quiet, {version} as version\n"
                f"from {self.source}"
            )
        value = "f.value / (f.id - f.id)" if self.fails else f"f.value + {version}"
        return (
            f"{self.directives}select f.id, {value} as value, w.seen\n"
            f"from {self.source} as f\n"
            f"cross join public.witness("
            f"{self.number}, {self.seconds}, {self.odds}, '{self.state}') as w (seen)"
        )


UNIQUE = "-- seeder: unique=(id)\n"
SWAPPED = "-- seeder: mode=swap\n"


def reports(count: int, too_slow: float) -> list[Report]:
    """Of each twenty: two slow ones, one that fails for good and two that read it, one after the other, three
    that fail now and then and one that reads one of them, a chain of three over a table that is written to,
    one that says what it reads, which is two of them, and one that reads another; some with a unique key, two
    that are swapped. The last takes ``too_slow`` seconds until it is calm."""
    last = Report(count, seconds=too_slow)
    return [*(_report(number) for number in range(1, count)), last]


def sources(reports: Sequence[Report]) -> list[str]:
    """The tables that are written to."""
    return sorted({one.source.removeprefix("public.") for one in reports if one.quiet and not one.reads})


def _report(number: int) -> Report:
    match number % 20:
        case 1:
            return Report(number, UNIQUE)
        case 2:
            return _reader(number, 1)
        case 3:
            return Report(number, seconds=1.0)
        case 4:
            return Report(number, UNIQUE, seconds=2.5)
        case 5:
            return Report(number, fails=True)
        case 6 | 7:
            return Report(number, odds=0.3)
        case 8:
            return Report(number, odds=0.3, state="40001")
        case 9 | 10:
            return Report(number, UNIQUE)
        case 11:
            return Report(number, UNIQUE + SWAPPED, seconds=0.3)
        case 12:
            return Report(number, SWAPPED)
        case 13:
            return Report(number, source=f"public.source_{number // 20}", quiet=True)
        case 14:
            return _reader(number, 1, UNIQUE, quiet=True)
        case 15:
            return _reader(number, 1, quiet=True)
        case 16:
            return _reader(number, 11, fails=True, not_run=True)
        case 17:
            return _reader(number, 1, fails=True, not_run=True)
        case 18:
            slow, quick = number - 14, number - 5
            after = f"-- seeder: after=(report_{slow}, report_{quick})\n"
            return Report(number, after, seconds=0.02, reads=(slow, quick))
        case 19:
            return _reader(number, 13, UNIQUE)
        case _:
            return Report(number, seconds=0.02)


def _reader(number: int, before: int, directives: str = "", **more: bool) -> Report:
    """Of the report so many before it."""
    source = number - before
    return Report(number, directives, f"reporting.report_{source}", reads=(source,), **more)
