"""A workload of reports as an analyst writes them, over TPC-H data.

The data and its scale are TPC-H's (https://www.tpc.org/tpch/), the queries are ours: ``benchmarks/reports``,
one file each, a canned report that each of the 25 nations subscribes to.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.arena import Arena, BenchmarkFailed, connect, rows
from benchmarks.workload import Workload

GOAL = 0.97
SCALE_FACTOR = 0.1

REPORTS = Path(__file__).with_name("reports")

#: A parent comes before its children; the order of columns is that of the generated files.
TABLES = {
    "region": "r_regionkey integer primary key, r_name text, r_comment text",
    "nation": "n_nationkey integer primary key, n_name text, n_regionkey integer, n_comment text",
    "supplier": """
        s_suppkey integer primary key, s_name text, s_address text, s_nationkey integer, s_phone text,
        s_acctbal numeric(15, 2), s_comment text""",
    "customer": """
        c_custkey integer primary key, c_name text, c_address text, c_nationkey integer, c_phone text,
        c_acctbal numeric(15, 2), c_mktsegment text, c_comment text""",
    "part": """
        p_partkey integer primary key, p_name text, p_mfgr text, p_brand text, p_type text, p_size integer,
        p_container text, p_retailprice numeric(15, 2), p_comment text""",
    "partsupp": """
        ps_partkey integer, ps_suppkey integer, ps_availqty integer, ps_supplycost numeric(15, 2),
        ps_comment text, primary key (ps_partkey, ps_suppkey)""",
    "orders": """
        o_orderkey bigint primary key, o_custkey integer, o_orderstatus text, o_totalprice numeric(15, 2),
        o_orderdate date, o_orderpriority text, o_clerk text, o_shippriority integer, o_comment text""",
    "lineitem": """
        l_orderkey bigint, l_partkey integer, l_suppkey integer, l_linenumber integer,
        l_quantity numeric(15, 2), l_extendedprice numeric(15, 2), l_discount numeric(15, 2),
        l_tax numeric(15, 2), l_returnflag text, l_linestatus text, l_shipdate date, l_commitdate date,
        l_receiptdate date, l_shipinstruct text, l_shipmode text, l_comment text,
        primary key (l_orderkey, l_linenumber)""",
}

#: What a warehouse's owner would have made: the other end of each reference, and the dates.
INDEXES = """
create index on tpch.nation (n_regionkey);
create index on tpch.supplier (s_nationkey);
create index on tpch.customer (c_nationkey);
create index on tpch.partsupp (ps_suppkey);
create index on tpch.orders (o_custkey);
create index on tpch.orders (o_orderdate);
create index on tpch.lineitem (l_partkey);
create index on tpch.lineitem (l_suppkey);
create index on tpch.lineitem (l_shipdate)
"""

AGENCIES = """
create table public.agency as
select n_nationkey as id, initcap(n_name) as name, replace(lower(n_name), ' ', '-') as slug from tpch.nation
"""

REPORT = """
insert into reporting.seeder_canned_report (id, table_name, report_name, query) values (%s, %s, %s, %s)
"""

#: An agency's reports follow one another, so that any number of views has several reports in it.
SUBSCRIPTIONS = """
insert into reporting.seeder_canned_report_manifest (id, agency_id, agency_slug, canned_report_id)
select row_number() over (order by a.id, r.id), a.id, a.slug, r.id
from public.agency a cross join reporting.seeder_canned_report r
order by a.id, r.id
limit %s
"""

SUBSCRIBED = """
select replace(r.table_name, '{agency_slug}', replace(m.agency_slug, '-', '_'))
from reporting.seeder_canned_report_manifest m
join reporting.seeder_canned_report r on r.id = m.canned_report_id
"""


def prepare(arena: Arena, views: int | None = None, scale_factor: float = SCALE_FACTOR) -> Workload:
    """``views`` None is all: each report for each nation."""
    url = arena.make_database("real")
    connection = connect(url)
    with connection.cursor() as cursor:
        _load(cursor, arena.folder / "tpch", scale_factor)
        for number, report in enumerate(sorted(REPORTS.glob("*.sql")), start=1):
            cursor.execute(
                REPORT, (number, f"{{agency_slug}}_{report.stem}", _title(report), report.read_text())
            )
        cursor.execute(SUBSCRIPTIONS, (views,))
    names = [name for (name,) in rows(connection, SUBSCRIBED)]
    connection.close()
    title = f"{len(names)} views of TPC-H, scale factor {scale_factor:g}"
    return Workload("real", title, GOAL, url, {name: f"reporting.{name}" for name in names})


def _title(report: Path) -> str:
    """A report's first line is its name, as a comment."""
    return report.read_text().splitlines()[0].removeprefix("-- ")


def _load(cursor: Any, folder: Path, scale_factor: float) -> None:
    program = Path(sys.executable).with_name("tpchgen-cli")
    found = program if program.exists() else shutil.which("tpchgen-cli")
    if found is None:
        raise BenchmarkFailed("tpchgen-cli is not installed: pip install -e '.[dev]'")
    subprocess.run(
        [str(found), "csv", "--scale-factor", str(scale_factor), "--output-dir", str(folder), "--quiet"],
        check=True,
    )
    cursor.execute("create schema tpch")
    for table, columns in TABLES.items():
        cursor.execute(f"create table tpch.{table} ({columns})")
        with (folder / f"{table}.csv").open() as file:
            cursor.copy_expert(f"copy tpch.{table} from stdin (format csv, header match)", file)
    shutil.rmtree(folder)
    for statement in (*INDEXES.split(";"), AGENCIES):
        cursor.execute(statement)
    for table in TABLES:
        cursor.execute(f"vacuum analyze tpch.{table}")
    cursor.execute("checkpoint")
