"""All commands. Each imports its implementation when it is called, so that ``seeder --help`` is quick.

Their order here is that of the help.
"""

from seeder.cli.commands import running, looking, upkeep, setup  # isort: skip  # noqa: F401
from seeder.cli.commands.application import application

__all__ = ["application"]
