"""Tables that are written to at random, by whom, and what they and the matviews over them held when.

``public.held`` has the contents of each as a digest, written by the very transaction that made them so; when
that was committed PostgreSQL itself knows (track_commit_timestamp).
"""

import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

import psycopg2

HELD = r"""
create table public.held (name text not null, digest text not null);

create function public.note(name text, relation regclass) returns void language plpgsql as $$
declare
    found text;
begin
    execute format(
        'select md5(coalesce(string_agg(id || '':'' || value, '','' order by id), '''')) from %s', relation
    ) into found;
    insert into public.held (name, digest) values (note.name, found);
end $$;

-- By the name that it has come to bear: what is built beside it isn't it yet.
create function public.note_contents() returns event_trigger language plpgsql as $$
begin
    perform public.note(c.relname, c.oid)
    from pg_event_trigger_ddl_commands() as command
    join pg_class c on c.oid = command.objid
    where c.relkind = 'm' and c.relispopulated and c.relname ~ '^report_\d+$'
      and exists (select from pg_attribute a
                  where a.attrelid = c.oid and a.attname = 'quiet' and not a.attisdropped);
end $$;
create event trigger note_contents on ddl_command_end
when tag in ('CREATE MATERIALIZED VIEW', 'REFRESH MATERIALIZED VIEW', 'ALTER MATERIALIZED VIEW',
             'ALTER TABLE')
execute function public.note_contents();

create procedure public.write_in_two(name text, value integer, pause float8) language plpgsql as $$
begin
    for turn in 1..2 loop
        execute format('update public.%I set value = value + %s where id <= 10 * %s', name, value, turn);
        perform public.note(name, ('public.' || quote_ident(name))::regclass);
        commit;
        perform pg_sleep(pause);
    end loop;
end $$;
"""

MAKE = """
create table public.{name} (id integer primary key, value integer not null);
insert into public.{name} select g, g from generate_series(1, 50) as g;
select public.note('{name}', 'public.{name}')
"""

NOTE = "select public.note(%(name)s, %(relation)s)"

IN_TWO = "call public.write_in_two(%(name)s, %(value)s, %(pause)s)"

WRITES = (
    "insert into public.{name} select coalesce(max(id), 0) + 1, %(value)s from public.{name}",
    "update public.{name} set value = value + %(value)s where id %% 7 = %(value)s %% 7",
    "delete from public.{name} where id = (select max(id) from public.{name})",
)
#: Nobody can read what is emptied, so that isn't kept waiting.
EMPTY = (
    "truncate public.{name}; insert into public.{name} select g, %(value)s from generate_series(1, 40) as g"
)

#: Seconds between two writes, and for which one is left open. Some report finds its source as it was then,
#: although PostgreSQL is killed twice a minute, after which nothing counts as unchanged.
GAP = (1.0, 6.0)
OPEN = (0.0, 3.0)
#: After each half of a procedure.
PAUSE = 1.0
#: How often a write is rolled back, empties its table, or is two transactions of one procedure.
ROLLED_BACK, EMPTIED, TWO = 0.15, 0.15, 0.15


class Writer:
    """Writes to one source after the other, in a thread of its own, until it is told to stop."""

    def __init__(self, connect: Any, sources: Sequence[str], seed: int) -> None:
        self._connect = connect
        self._sources = sources
        self._chance = random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
        #: What was committed.
        self.writes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _write(self) -> None:
        while self._sources and not self._stopping.wait(self._chance.uniform(*GAP)):
            name = self._chance.choice(self._sources)
            # PostgreSQL is away, or was meanwhile.
            with suppress(psycopg2.Error):
                session = self._connect()
                try:
                    self.writes += self.once(session, name)
                finally:
                    session.close()

    def once(self, session: Any, name: str) -> bool:
        """Whether it was committed, as far as one knows."""
        chance = self._chance
        values = {
            "name": name,
            "relation": f"public.{name}",
            "value": chance.randint(1, 1000),
            "pause": PAUSE,
        }
        draw = chance.random()
        with session.cursor() as cursor:
            if draw < TWO:
                cursor.execute(IN_TWO, values)
                return True
            emptied = draw < TWO + EMPTIED
            session.autocommit = False
            cursor.execute((EMPTY if emptied else chance.choice(WRITES)).format(name=name), values)
            cursor.execute(NOTE, values)
            if not emptied:
                self._stopping.wait(chance.uniform(*OPEN))
            if chance.random() < ROLLED_BACK:
                session.rollback()
                return False
            session.commit()
            return True
