"""Questions over what others have made, asked where nobody gets out of the role that asks.

SET LOCAL ROLE is no wall for what is called under it: a function may set the role back, and goes on with the
rights of the connection. PostgreSQL refuses that inside a *security-restricted operation*, as it refuses
PREPARE, temporary tables and whatever else would outlast it (miscinit.c). CREATE and REFRESH MATERIALIZED
VIEW are such operations for the query that they run. What is asked beside them (EXPLAIN, whose planner calls
functions too, or which rows share a key) needs one of its own, and the making of an index is one that every
role may have: index.c computes an index's expressions with the rights of the table's owner. So the question
is a row of a temporary table, and a function in an index on it asks it.
"""

import psycopg2

from seeder.failures import judged
from seeder.session import Session

#: The functions are two because one that an index calls must be IMMUTABLE, and those may not EXPLAIN.
ASK = """
create temporary table seeder_question (question text);
create temporary table seeder_answer (answer text);
insert into pg_temp.seeder_question values (%(question)s);
create function pg_temp.seeder_answering(question text) returns void language plpgsql volatile as $function$
declare
    answer text;
begin
    perform pg_catalog.set_config('transaction_read_only', 'on', true);
    execute question into answer;
    insert into pg_temp.seeder_answer values (answer);
end $function$;
create function pg_temp.seeder_asking(question text) returns integer language plpgsql immutable as $function$
begin
    perform pg_temp.seeder_answering(question);
    return 0;
end $function$;
create index on pg_temp.seeder_question (pg_temp.seeder_asking(question));
select answer from pg_temp.seeder_answer
"""


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
        report = ours.facts["report"].partition(f'SQL statement "{question}"')[0]
        raise type(ours)(report=report.removesuffix("Context: ").rstrip()) from error
    return None if row is None or row.answer is None else str(row.answer)
