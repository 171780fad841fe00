"""SQL as text: every function that the servers' extensions bring is decided."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from support.emptied import fresh_database

from seeder.errors import FunctionRefused, TextFunctionRefused
from seeder.matviews.query.functions import TAKES_TEXT, refuse_functions
from seeder.postgres.databases import Databases
from seeder.postgres.session import Session
from seeder.sql.extensions import KNOWN, REFUSED
from seeder.sql.guard import check
from seeder.sql.placeholders import render_query

#: Not volatile, given a text, and looked at: each only works on the text itself (or, unaccent, with a
#: dictionary that its owner has made).
HARMLESS = {
    # Comparisons and regular expressions: all of them.
    "btree_gin": "*",
    "btree_gist": "*",
    "citext": "*",
    "fuzzystrmatch": "daitch_mokotoff difference dmetaphone dmetaphone_alt levenshtein levenshtein_less_equal"
    " metaphone soundex text_soundex",
    "hstore": "defined delete exist exists_all exists_any fetchval hstore isdefined isexists slice"
    " slice_array populate_record tconvert",
    "intarray": "sort",
    "ltree": "ltree_addtext ltree_textadd text2ltree _lt_q_regex _lt_q_rregex lt_q_regex lt_q_rregex",
    "pg_trgm": "show_trgm similarity similarity_dist similarity_op strict_word_similarity"
    " strict_word_similarity_commutator_op strict_word_similarity_dist_commutator_op"
    " strict_word_similarity_dist_op strict_word_similarity_op word_similarity"
    " word_similarity_commutator_op word_similarity_dist_commutator_op word_similarity_dist_op"
    " word_similarity_op",
    "pgcrypto": "armor crypt dearmor decrypt decrypt_iv digest encrypt encrypt_iv hmac pgp_armor_headers"
    " pgp_pub_decrypt pgp_pub_decrypt_bytea pgp_sym_decrypt pgp_sym_decrypt_bytea",
    "unaccent": "unaccent",
    "uuid-ossp": "uuid_generate_v3 uuid_generate_v5",
    # libxslt is forbidden to read files and the network (xslt_proc.c).
    "xml2": "xml_encode_special_chars xml_valid xpath_bool xpath_list xpath_nodeset xpath_number xpath_string"
    " xslt_process",
}

#: What a query can call: not what only PostgreSQL's own machinery can, nor a type's input and output.
CALLABLE = f"""
select extension.extname as extension, function.proname as name, function.provolatile::text as label,
       language.lanname as language, {TAKES_TEXT} as takes_text
from pg_proc as function
join pg_language as language on language.oid = function.prolang
join pg_depend as part
    on part.classid = 'pg_proc'::regclass and part.objid = function.oid and part.deptype = 'e'
join pg_extension as extension on extension.oid = part.refobjid
where not 'internal'::regtype = any (function.proargtypes::oid[])
  and function.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
  and not exists (
      select from pg_type as type
      where function.oid in (type.typinput, type.typoutput, type.typreceive, type.typsend, type.typmodin,
                             type.typmodout)
  )
"""


@pytest.fixture(scope="module", params=["postgres_url", "postgres15_url"], ids=["pg18", "pg15"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """Where every extension is installed that the server brings."""
    with fresh_database(request.getfixturevalue(request.param)) as url:
        databases = Databases(url)
        with databases.session() as session:
            session.run_text("create schema elsewhere; set search_path = elsewhere, pg_catalog, pg_temp")
            for row in session.rows("select name from pg_available_extensions order by name"):
                session.run_text(f'create extension if not exists "{row.name}" cascade')
            yield session
        databases.dispose()


def judge(session: Session, sql: str, *allowed: str) -> None:
    refuse_functions(session, check(render_query(sql, {})), allowed)


def test_every_function_of_every_extension_of_the_server_is_decided(session: Session) -> None:
    found = session.rows(CALLABLE)
    assert {row.extension for row in found} <= KNOWN
    assert len(found) > 500
    given_text = {
        (row.extension, row.name)
        for row in found
        if row.label != "v" and row.takes_text and f"{row.extension}.{row.name}" not in REFUSED
    }
    undecided = {
        f"{extension}.{name}"
        for extension, name in given_text
        if HARMLESS.get(extension) != "*" and name not in HARMLESS.get(extension, "").split()
    }
    assert not undecided, "look at these: do they run SQL, or read what is named?"


def test_what_is_refused_is_there_and_not_volatile_anyway(session: Session) -> None:
    """Two lists that nobody keeps would be one too many."""
    there = {f"{row.extension}.{row.name}": row.label for row in session.rows(CALLABLE)}
    expected = {name for name in REFUSED if not name.startswith("xml2.") or "xml2.xpath_bool" in there}
    assert expected <= set(there)


CASES: dict[str, Any] = {
    "crosstab": "select * from crosstab("
    "'select pg_read_file(''PG_VERSION''), ''a'', ''b''') as t(r text, c text)",
    "crosstab2": "select * from elsewhere.crosstab2('select 1')",
    "connectby": "select * from connectby('pg_authid', 'oid', 'oid', '1', 0) as t(a oid, b oid, level int)",
    "isn_weak": "select isn_weak()",
}


@pytest.mark.parametrize("name", CASES)
def test_sql_as_text_is_refused_in_whatever_schema_the_extension_is(session: Session, name: str) -> None:
    with pytest.raises(TextFunctionRefused, match=rf"elsewhere\.{name} \(of the extension \w+\)"):
        judge(session, CASES[name])
    judge(session, CASES[name], f"elsewhere.{name}")


def test_it_is_found_in_a_view_too(session: Session) -> None:
    session.run_text(
        "create view elsewhere.hidden as select * from crosstab('select 1') as t(r text, c text)"
    )
    with pytest.raises(TextFunctionRefused, match=r"in the view elsewhere\.hidden|in the view hidden"):
        judge(session, "select * from elsewhere.hidden")


def test_xpath_table_is_refused(session: Session) -> None:
    if not session.row("select from pg_extension where extname = 'xml2'"):
        pytest.skip("this server comes without xml2")
    with pytest.raises(TextFunctionRefused, match="xpath_table"):
        judge(session, "select * from xpath_table('a', 'b', 'pg_authid', '/', 'true') as t(a int, b text)")


@pytest.mark.parametrize(
    "sql", ["select * from dblink('', 'select 1') as t(a int)", "select elsewhere.lo_import('/etc/passwd')"]
)
def test_other_ways_out_are_refused_by_the_guard(sql: str) -> None:
    with pytest.raises(Exception, match="is not allowed"):
        check(render_query(sql, {}))


@pytest.mark.parametrize(
    "sql",
    [
        "select * from pgstattuple('pg_class')",
        "select * from heap_page_items(get_raw_page('pg_class', 0))",
        "select pg_truncate_visibility_map('pg_class')::text",
        "select bt_index_check('pg_class_oid_index')::text",
        "select * from pgrowlocks('pg_class')",
        "select normal_rand(1, 0, 1)",
    ],
)
def test_volatile_ones_are_refused_as_such(session: Session, sql: str) -> None:
    with pytest.raises(FunctionRefused, match=r"is volatile"):
        judge(session, sql)


def test_what_only_works_on_its_text_passes(session: Session) -> None:
    judge(
        session,
        """
        select similarity('a', 'b'), levenshtein('a', 'b'), unaccent('e'), 'a=>1'::hstore -> 'a' as one,
               'A'::citext = 'a' as same, sort(array[2, 1]), 'a.b'::ltree <@ 'a' as below, soundex('x')
        """,
    )


#: tablefunc's own documentation tells to make such ones, for other columns.
OWN_CROSSTAB = """
create function elsewhere.crosstab_by_hand(text) returns setof tablefunc_crosstab_2
    as '{library}', 'crosstab' language c stable strict
"""


def test_a_c_function_of_no_extension_that_is_given_text_is_refused(session: Session) -> None:
    library = session.row("select probin from pg_proc where proname = 'crosstab2'").probin
    session.run_text(OWN_CROSSTAB.format(library=library))
    sql = "select * from crosstab_by_hand('select pg_read_file(''PG_VERSION''), 1, 2')"
    with pytest.raises(TextFunctionRefused, match=r"crosstab_by_hand \(in C of no extension"):
        judge(session, sql)
    judge(session, sql, "elsewhere.crosstab_by_hand")


@pytest.mark.parametrize(
    ("arguments", "language", "member", "refused"),
    [
        ("text", "plpgsql", True, True),
        ("regclass", "plpgsql", True, True),
        ("text[]", "plpgsql", True, True),
        ("jsonb", "plpgsql", True, True),
        ("anyelement", "plpgsql", True, True),
        ("integer", "plpgsql", True, False),
        # A function that somebody of the database has made and calls stable.
        ("text", "plpgsql", False, False),
    ],
)
def test_a_function_of_an_unknown_extension_is_judged_by_what_it_takes(
    session: Session, arguments: str, language: str, member: bool, refused: bool
) -> None:
    """No unknown extension can be installed here, so a known one lends its name."""
    session.run_text("begin")
    session.run_text(
        f"create function elsewhere.f({arguments}) returns int stable language {language}"
        " as 'begin return 1; end'"
    )
    if member:
        session.run_text("alter extension seg add function elsewhere.f; ")
        session.run_text("update pg_extension set extname = 'stranger' where extname = 'seg'")
    session.run_text("commit")
    value = {
        "integer": "1",
        "text[]": "array['x']",
        "jsonb": "'1'::jsonb",
        "regclass": "'pg_class'::regclass",
    }
    sql = f"select elsewhere.f({value.get(arguments, chr(39) + 'x' + chr(39) + '::text')})"
    try:
        if refused:
            with pytest.raises(TextFunctionRefused, match=re.escape("of the extension stranger, unknown")):
                judge(session, sql)
        else:
            judge(session, sql)
    finally:
        if member:
            session.run_text("update pg_extension set extname = 'seg' where extname = 'stranger'")
            session.run_text("alter extension seg drop function elsewhere.f")
        session.run_text("drop function elsewhere.f")
