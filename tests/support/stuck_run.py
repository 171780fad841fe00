"""A run that builds its copy, reports it, and never ends: ``python stuck_run.py URL QUERY``."""

import sys
import time

from support.company import after_the_build
from support.contract import Platform
from support.workbench import Bench

from seeder import logs
from seeder.matviews import bring_up_to_date
from seeder.postgres.session import Session


def stay(session: Session, copy: str) -> None:
    print(copy, flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    # Nothing but the copy's name goes to the standard output.
    logs.configure()
    bench = Bench.__new__(Bench)
    bench.platform = Platform(sys.argv[1])
    manifest, policy = bench.manifest(sys.argv[2]), bench.policy()
    with after_the_build(stay), bench.claimed(manifest, policy) as (session, found):
        bring_up_to_date(session, manifest, found, policy)
