"""Runs whole runs without a worker: claims, refreshes and records as the signals do."""

from typing import Any

from support.contract import Platform, new_run

from seeder.config.settings import Settings
from seeder.errors import SeederError
from seeder.matviews import policy_of
from seeder.runs.claim import Claims
from seeder.runs.message import Message


def run(platform: Platform, number: int, seeding: str = "n1", **settings: Any) -> Any:
    """The history row of a run of that custom manifest, after its end."""
    claims = Claims(
        platform.databases, platform.history, platform.manifests, policy_of(Settings(**settings)), "reporting"
    )
    manifest = platform.manifest("custom", number)
    assert manifest is not None
    message = Message(f"{seeding}.{manifest.identity}", 0, "custom", number, manifest.table_name, None)
    platform.history.queue([new_run(message.run_id, manifest.table_name, manifest_id=number)])
    claim = claims.claim(message)
    try:
        claim.refresh()
    except SeederError as error:
        claim.fail(str(error))
    else:
        claim.succeed()
    return platform.run(message.run_id)
