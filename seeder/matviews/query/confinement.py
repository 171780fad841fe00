"""Runs a statement that may call other people's functions so that it can't leave the current role.

SET LOCAL ROLE is no wall for what is called under it: a function may set the role back, and goes on with the
rights of the connection. PostgreSQL refuses that inside a *security-restricted operation*, as it refuses
PREPARE, temporary tables and whatever else would outlast it (miscinit.c). CREATE and REFRESH MATERIALIZED
VIEW are such operations for the query that they run. What is asked beside them (EXPLAIN, whose planner calls
functions too, or which rows share a key) needs one of its own, and the making of an index is one that every
role may have: index.c computes an index's expressions with the rights of the table's owner. So the question
is asked by a function in an index on a temporary table.
"""

import json
from dataclasses import replace
from typing import TypedDict, cast

import psycopg2

from seeder.matviews.policy import Policy
from seeder.postgres.failures import judged, with_report
from seeder.postgres.session import Session

#: The functions are two because one that an index calls must be IMMUTABLE, and those may not EXPLAIN. The
#: columns are such as need no TOAST table: making files is what takes the time here.
ASK = """
select set_config('seeder.question', %(question)s, true);
create temporary table seeder_question as select 1 as one;
create temporary table seeder_answer (place integer, part varchar(400));
create function pg_temp.seeder_answering() returns void language plpgsql volatile as $function$
declare
    answer text;
begin
    perform pg_catalog.set_config('transaction_read_only', 'on', true);
    execute pg_catalog.current_setting('seeder.question') into answer;
    insert into pg_temp.seeder_answer
    select place, pg_catalog.substr(answer, place, 400)
    from pg_catalog.generate_series(1, pg_catalog.length(answer), 400) as place;
end $function$;
create function pg_temp.seeder_asking(one integer) returns integer language plpgsql immutable as $function$
begin
    perform pg_temp.seeder_answering();
    return one;
end $function$;
create index on pg_temp.seeder_question (pg_temp.seeder_asking(one));
select string_agg(part, '' order by place) as answer from pg_temp.seeder_answer
"""


READ_ONLY = "set transaction read only;\n"
EXPLAIN = "explain (format json) select * from pg_temp.seeder_probe"


#: The fields of EXPLAIN's JSON that are read.
Plan = TypedDict("Plan", {"Total Cost": float, "Plan Rows": int})


def plan_of_probe(session: Session, policy: Policy) -> Plan:
    """How PostgreSQL would execute the probe's query (seeder.matviews.query.probe), asked inside its block.

    Without a role of the manifests' there is nothing to get out of: what the query calls has the connection's
    rights in a refresh, too. Raises QueryFailed or TemporaryError.
    """
    if policy.role:
        (told,) = json.loads(str(ask(session, EXPLAIN)))
    else:
        ((told,),) = session.row(READ_ONLY + EXPLAIN)
    return cast("Plan", told["Plan"])


def ask(session: Session, question: str) -> str | None:
    """The first field of the first row of a statement that only reads, as text, asked by the current role.

    In a transaction that is open and that the caller rolls back: what the asking takes goes with it. Raises
    QueryFailed or TemporaryError. On PostgreSQL 17 and later the search_path is ``pg_catalog, pg_temp``.
    """
    try:
        row = session.row(ASK, question=question)
    except psycopg2.Error as error:
        ours = judged(error)
        # The context goes on from the question to our two functions, which nobody knows.
        context = (ours.report.context or "").partition(f'SQL statement "{question}"')[0].rstrip()
        raise with_report(ours, replace(ours.report, context=context or None)) from error
    return None if row is None or row.answer is None else str(row.answer)
