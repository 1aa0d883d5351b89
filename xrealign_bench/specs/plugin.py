"""Names in specs that a plugin may have registered, and the record of a plugin that was used."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import PydanticCustomError, core_schema

from xrealign_bench.errors import UserError
from xrealign_bench.plugins import (
    PLUGIN_NAME,
    Group,
    Plugin,
    accepts_unregistered_names,
    registry,
)
from xrealign_bench.specs.base import Spec
from xrealign_bench.specs.fields import Sha256, Title

PluginName = Annotated[
    str,
    Field(description="the name of a plugin, or package/name of an installed one", pattern=PLUGIN_NAME, max_length=161),
]


PluginFile = Annotated[
    str, Field(description="a file name", pattern=r"^[A-Za-z0-9_<][A-Za-z0-9_.<>-]*$", max_length=200)
]
PackageName = Annotated[
    str, Field(description="the name of a package", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
]
PackageVersion = Annotated[
    str, Field(description="a version such as 2.1.0", pattern=r"^[0-9][0-9A-Za-z.+!_-]*$", max_length=64)
]
"""pip can't mistake it for anything else."""


@dataclass(frozen=True)
class RegisteredName:
    """Validator of a name: a shipped one, that of a plugin, or `package/name`, whose entry point is then imported.

    While a result or a submission is read, any well-formed name is valid, and nothing is imported.
    """

    group: Group
    shipped: tuple[str, ...]

    def check(self, value: Any) -> str:
        """Return the name.

        Raises:
            PydanticCustomError: the name is not registered; `specs.explain` makes the message.
            ValueError: the name is registered twice, or its entry point is missing or broken.
        """
        if isinstance(value, str) and accepts_unregistered_names() and _is_well_formed(value):
            return value
        names = registry(self.group)
        known: Sequence[str] = list(dict.fromkeys([*self.shipped, *names]))
        try:
            if isinstance(value, str) and (value in names or value in self.shipped):
                return value
        except UserError as error:
            raise ValueError(str(error)) from None
        raise PydanticCustomError(
            "unknown_name", "is not registered; allowed: {allowed}", {"known": known, "allowed": ", ".join(known)}
        )

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        plugin = {"type": "string", "pattern": PLUGIN_NAME, "description": "name of a plugin, or package/name"}
        return {"anyOf": [{"enum": list(self.shipped)}, plugin]}


class PluginRecord(Spec):
    """A plugin that a result was computed with."""

    group: Group
    name: PluginName
    version: Title
    """As its author counts it."""
    sha256: Sha256
    """Digest of its source."""
    file: PluginFile | None = None
    """Name of its file, if it belongs to no package."""
    package: PackageName | None = None
    """Installed package that it belongs to."""
    package_version: PackageVersion | None = None

    @model_validator(mode="after")
    def _has_an_origin(self) -> PluginRecord:
        if (self.file is None) == (self.package is None) or (self.package is None) != (self.package_version is None):
            raise ValueError("must have either file, or package and package_version")
        return self

    @property
    def origin(self) -> str:
        """The package with its version, or the file."""
        return self.file or f"{self.package} {self.package_version}"


class PluginKey(Spec):
    """What identifies a plugin's code in the key of a stage."""

    group: Group
    name: str
    version: str
    sha256: str


NamedPlugin = tuple[Group, str]
"""Group and name."""


def plugin_records(names: Sequence[NamedPlugin]) -> list[PluginRecord]:
    """Return the records of those names that are plugins, each once."""
    return [
        PluginRecord(
            group=plugin.group,
            name=plugin.name,
            version=plugin.version,
            sha256=plugin.sha256,
            file=plugin.file,
            package=plugin.package[0] if plugin.package else None,
            package_version=plugin.package[1] if plugin.package else None,
        )
        for plugin in _plugins(names)
    ]


def plugin_keys(names: Sequence[NamedPlugin]) -> list[PluginKey]:
    """Return what enters the key of a stage that uses these names; nothing for shipped ones."""
    return [
        PluginKey(group=plugin.group, name=plugin.name, version=plugin.version, sha256=plugin.sha256)
        for plugin in _plugins(names)
    ]


def _plugins(names: Sequence[NamedPlugin]) -> list[Plugin[Any]]:
    found = (registry(group).plugin(name) for group, name in sorted(set(names)))
    return [plugin for plugin in found if plugin is not None]


def _is_well_formed(name: str) -> bool:
    return re.fullmatch(PLUGIN_NAME, name) is not None
