"""Advisory locks: one run per matview at a time, and a limit on the number of runs per database."""
