"""What people put into a schema on the search path never gets to run in place of PostgreSQL's own."""

import pytest
from support.workbench import Bench

#: Better matches than PostgreSQL's own wherever an oid is written as a number, which is an integer.
TRAPS = """
create table public.caught (what text);
create function public.caught_by(what text, answer bigint) returns bigint language plpgsql as $$
begin
    insert into public.caught values (what);
    return answer;
end $$;
create function public.pg_stat_get_xact_tuples_inserted(integer) returns bigint language sql
    as $$ select public.caught_by('inserted', 0) $$;
create function public.pg_stat_get_xact_tuples_deleted(integer) returns bigint language sql
    as $$ select public.caught_by('deleted', 0) $$;
create function public.pg_stat_get_mod_since_analyze(integer) returns bigint language sql
    as $$ select public.caught_by('modified', 0) $$;
create function public.pg_total_relation_size(integer) returns bigint language sql
    as $$ select public.caught_by('size', 0) $$;
create function public.same(oid, integer) returns boolean language sql
    as $$ select public.caught_by('=', 0) = 0 and $1 = $2::oid $$;
create operator public.= (leftarg = oid, rightarg = integer, function = public.same);
"""


@pytest.mark.parametrize("mode", ["plain", "concurrently", "swap"])
def test_no_trap_on_the_search_path_is_sprung(bench: Bench, mode: str) -> None:
    query = "-- seeder: unique=(id)\nselect * from sale"
    bench.refresh(bench.manifest(query))
    bench.sql(TRAPS)
    bench.sql("insert into public.sale values (101, 7, 1)")
    done = bench.refresh(bench.manifest(query), bench.policy(refresh_mode=mode))
    assert done.figures.records == 101
    assert bench.sql("select what from public.caught") == []
    changed = "-- seeder: unique=(id)\nselect id, amount from sale"
    assert bench.refresh(bench.manifest(changed), bench.policy(refresh_mode=mode)).outcome == "rebuilt"
    assert bench.sql("select what from public.caught") == []
