"""The templates, compiled at first use; everything put into one is escaped unless it says otherwise."""

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from seeder.monitoring import MonitoredJob
from seeder.web.filters import FILTERS

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"

#: Rows of the job list kept as HTML, about 2.5 kB each. Making them is most of the work of a page, and from
#: one look to the next hardly any job changes.
KEPT_ROWS = 4_000


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    made.globals["job_row"] = job_row
    return made


@lru_cache(maxsize=KEPT_ROWS)
def job_row(one: MonitoredJob, may_write: bool, with_agency: bool) -> Markup:
    """A row of the job list. Equal jobs have equal rows, for every viewer and at any time."""
    template: Any = environment().get_template("job_row.html").module
    row: Markup = template.row(one, may_write, with_agency)
    return row
