"""Variables that look like settings of seeder's and are none."""

import os
from difflib import get_close_matches

from pydantic_settings import DotEnvSettingsSource

from seeder.config.settings import Settings, variable_name


def unknown_variables() -> list[str]:
    """What seems to be meant for seeder, in the environment or in ``.env``, and isn't known: most likely a
    misspelt name, whose value then has no effect."""
    known = {variable_name(field) for field in Settings.model_fields}
    names = {name.upper() for name in (*os.environ, *DotEnvSettingsSource(Settings).env_vars)}
    told = []
    for name in sorted(names - known):
        # The tests' own say where their servers are.
        if name.startswith("SEEDER_") and not name.startswith("SEEDER_TEST_"):
            like = get_close_matches(name, known, 1, cutoff=0.8)
            told.append(f"{name} is no setting of seeder's" + (f"; {like[0]} is." if like else "."))
    return told
