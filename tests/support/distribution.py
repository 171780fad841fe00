"""Which tests pytest-xdist gives to one process together."""

import re
from pathlib import PurePath

from xdist.scheduler.loadscope import LoadScopeScheduling

#: Of these files each test has servers of its own.
NOTHING_SHARED = {"test_benchmarks", "test_compose_file", "test_makefile"}
POOL = re.compile(r"[\[-](threads|prefork)[\]-]")


class Distribution(LoadScopeScheduling):
    """Those of one file, which share its servers and workers; of one pool where there are two, since these
    share nothing either and their files are the longest."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)


def together(nodeid: str) -> str:
    """The name of what this test is part of."""
    file, _, test = nodeid.partition("::")
    if PurePath(file).stem in NOTHING_SHARED:
        return nodeid
    pool = POOL.search(test)
    return f"{file} {pool[1]}" if pool else file
