"""Where settings are read from: the environment first, then a ``.env`` file."""

from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource


class FirstWins(PydanticBaseSettingsSource):
    """Several sources as one; each setting is as a whole the first's that has it."""

    def __init__(self, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._sources = sources

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        found = (source.get_field_value(field, field_name) for source in self._sources)
        return next((one for one in found if one[0] is not None), (None, field_name, False))

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for source in self._sources:
            found = source() | found
        return found
