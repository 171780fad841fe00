"""``python -m seeder`` is the ``seeder`` command."""

from seeder.cli import main

main()
