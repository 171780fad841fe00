"""Generates texts for manifests: the guard's own examples, pieces of them, and what confuses scanners."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "sql"))

from support.escapes import QUERIES
from test_guard import ACCEPTED, REFUSED

#: What the mutations start from.
CORPUS = [*ACCEPTED, *(text for text, *_ in REFUSED), *QUERIES]

#: Quotes, comments, dollars, escapes, look-alikes and ends, in all kinds of brokenness.
SHARDS = [
    *"'\"`;$\\/*-:%(),[].=@#&|~^?!{}<>+",
    *"\n\r\t\f\v \u00a0\u2028\u200b\ufeff\u0085",
    *"；＇’ʼ＄˗−∕⁄﹔\u037e\u0438е",
    "--", "/*", "*/", "/**/", "$$", "$a$", "$é$", "''", '""', "\\'", "::", ":agency_slug", ":agency_id",
    ":x", "E'", "e'\\'", "U&'", 'U&"', "uescape '!'", "N'", "B'0'", "X'f'", "'\\'", "'\n'", "0x1F", "1_000",
    "1e", "$1", "; drop table canary", "; commit; drop table canary; --", "; select 1", "with no data",
    "with data", "returning *", "into made", "for update", "insert into canary values (2)",
    "delete from canary", "update canary set id = 2", "copy canary to stdout", "do $$ begin end $$",
    "set role none", "reset all", "begin", "commit", "rollback", "explain analyze", "prepare p as",
    "execute p", "declare c cursor for", "call f()", "lock table canary", "truncate canary", "listen a",
    "vacuum", "create table made as", "merge into canary", "discard all", "nextval('s')",
    "pg_catalog.nextval('s')", '"nextval"(\'s\')', "set_config('role', 'none', false)", "setval('s', 7)",
    "pg_sleep(9)", "lo_create(0)", "query_to_xml('delete from canary', true, true, '')",
    "pg_notify('a', 'b')", "txid_current()", "select", "table canary", "values (1)", "with q as (",
    "from sale", "union all", "lateral", "case when", "cast(", "as int)", "over (", "filter (where",
    "array[", "operator(pg_catalog.+)", "json_object('a':", "xmltable(", "tablesample", "natural join", "*",
    "is json", "null", "-- seeder: unique=(id)",
]  # fmt: skip
