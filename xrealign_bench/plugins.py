"""Registries of everything that a spec names: what ships with this package, and plugins.

A plugin is a class with a `register_...` decorator. Its module is imported by the user, with `--plugin FILE`, or, for a
name `package/name`, from the entry point `name` of an installed package. An entry point is imported only when a spec
asks for it, and never while a result or a submission is read: see `no_imports`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar, cast

from xrealign_bench.errors import ArgumentError, UserError, first_line, shorten, unknown

Group = Literal["aligner", "method", "task_type", "metric", "data_reader", "selection"]
T = TypeVar("T")

TITLES: Mapping[Group, str] = {
    "aligner": "aligner",
    "method": "method",
    "task_type": "task type",
    "metric": "metric",
    "data_reader": "data reader",
    "selection": "selection of languages",
}
SHIPPED = "xrealign-bench"
"""Origin of everything that is no plugin."""
NAME = r"[a-z0-9][a-z0-9_.-]{0,79}"
NO_NAME = "none"
"""In specs: no method or aligner."""
PLUGIN_NAME = rf"^{NAME}(/{NAME})?$"
"""`name` or `package/name`."""
_FILE_MODULE = "xrealign_bench_plugin_"
"""Beginning of the name of the module made of a plugin file."""

_imports_allowed: ContextVar[bool] = ContextVar("imports_allowed", default=True)
_package: ContextVar[tuple[str, str] | None] = ContextVar("package", default=None)
"""Name and version of the package whose entry point is being imported."""


@dataclass(frozen=True)
class Plugin(Generic[T]):
    """A registered class."""

    group: Group
    name: str
    """As specs name it."""
    version: str
    """As its author counts it."""
    registered: type
    implementation: T
    """What the harness makes of the class."""
    place: str
    """File and line of the class."""
    sha256: str
    """Digest of its source: the file, or all modules of its package."""
    file: str | None
    """Name of the file, for a plugin that belongs to no installed package."""
    package: tuple[str, str] | None
    """Name and version of the installed package."""

    @property
    def origin(self) -> str:
        """The package with its version, or the file."""
        return f"{self.package[0]} {self.package[1]}" if self.package else self.place

    def is_again(self, other: Plugin[T]) -> bool:
        """Return whether this is the same class, defined once more, as in a notebook's cell."""
        mine, theirs = self.registered, other.registered
        return (mine.__module__, mine.__qualname__) == (theirs.__module__, theirs.__qualname__)


class Registry(Mapping[str, T]):
    """Implementations of one group by name. Asking for `package/name` imports that entry point."""

    def __init__(self, group: Group, shipped: Mapping[str, T]) -> None:
        self.group = group
        self.shipped = dict(shipped)
        self._plugins: dict[str, list[Plugin[T]]] = {}
        REGISTRIES[group] = self

    def __getitem__(self, name: str) -> T:
        plugin = self.plugin(name)
        return self.shipped[name] if plugin is None else plugin.implementation

    def __iter__(self) -> Iterator[str]:
        yield from self.shipped
        yield from (name for name in self._plugins if name not in self.shipped)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def find(self, name: str) -> T | None:
        """Return an implementation without importing anything, or None if the name is not registered."""
        with no_imports():
            return self.get(name)

    def plugin(self, name: str) -> Plugin[T] | None:
        """Return the plugin of a name, or None for a shipped or an unknown name.

        Raises:
            UserError: the name is registered twice, or its entry point is missing or broken.
        """
        if "/" in name and name not in self._plugins and _imports_allowed.get():
            self._import_entry_point(name)
        found = self._plugins.get(name, [])
        origins = [*([SHIPPED] if name in self.shipped else []), *(plugin.origin for plugin in found)]
        if len(origins) > 1:
            raise UserError(
                f"{TITLES[self.group]} '{name}': is registered twice, by {' and by '.join(origins)}. Rename one of "
                "them, or import only one"
            )
        return found[0] if found else None

    def origins(self) -> dict[str, str]:
        """Return where each registered name comes from."""
        return {
            name: " and ".join(
                [*([SHIPPED] if name in self.shipped else []), *(p.origin for p in self._plugins.get(name, []))]
            )
            for name in self
        }

    def names_of(self, module: str) -> list[str]:
        """Return the names that a module has registered."""
        return [name for name, found in self._plugins.items() if any(p.registered.__module__ == module for p in found)]

    def add(self, registered: type, name: str, version: str, implementation: T) -> None:
        """Register a class under a name, or under `package/name` while its package's entry point is imported.

        Raises:
            UserError: the name or the version is not usable, or the source of the class can't be read.
        """
        what, place = TITLES[self.group], _place(registered)
        if not re.fullmatch(NAME, name):
            raise UserError(
                f"{place}: the {what} can't be named '{shorten(name)}'; use at most 80 lower-case letters a to z, "
                "digits, '-', '_' and '.', with a letter or digit first"
            )
        if name == NO_NAME:
            raise UserError(f"{place}: the {what} can't be named '{NO_NAME}', which stands for no {what}; rename it")
        if not isinstance(version, str) or not re.fullmatch(r"[\w.+-]{1,40}", version):
            raise UserError(f"{place}: the {what} '{name}' needs a version such as \"1\", not {shorten(version)!r}")
        importing = _package.get()
        package = importing or _package_of(registered.__module__)
        file = Path(place.rpartition(":")[0]).name if package is None else None
        self._put(
            Plugin(
                group=self.group, name=f"{importing[0]}/{name}" if importing else name, version=version,
                registered=registered, implementation=implementation, place=place,
                sha256=_source_digest(registered), file=file, package=package,
            )
        )  # fmt: skip

    def forget(self, module: str) -> None:
        """Remove the plugins that a module has registered."""
        for name, found in list(self._plugins.items()):
            self._plugins[name] = [plugin for plugin in found if plugin.registered.__module__ != module]
            if not self._plugins[name]:
                del self._plugins[name]

    def _put(self, plugin: Plugin[T]) -> None:
        others = [other for other in self._plugins.get(plugin.name, []) if not plugin.is_again(other)]
        self._plugins[plugin.name] = [*others, plugin]

    def _import_entry_point(self, full_name: str) -> None:
        package, _, name = full_name.partition("/")
        entry, found = _entry_point(self.group, package, name)
        version = found.metadata["Version"]
        where = f"{TITLES[self.group]} '{shorten(full_name)}': the entry point '{name} = {entry.value}' of {package}"
        token = _package.set((package, version))
        try:
            loaded = entry.load()
        except Exception as error:
            if isinstance(error, UserError) and not isinstance(error, ArgumentError):  # it names the file
                raise
            raise UserError(
                f"{where} {version} can't be imported ({type(error).__name__}: {first_line(error)}). Install a version "
                "of the package that works here"
            ) from None
        finally:
            _package.reset(token)
        known = (plugin for found in self._plugins.values() for plugin in found if plugin.registered is loaded)
        if (plugin := next(known, None)) is None:
            raise UserError(
                f"{where} {version} is not registered. Its author must decorate it with @xb.register_{self.group}"
            )
        self._put(replace(plugin, name=full_name, package=(package, version), file=None))


REGISTRIES: dict[Group, Registry[Any]] = {}
"""Those that were imported; a plugin imports that of its group."""
_HOMES: Mapping[Group, str] = {
    "aligner": "xrealign_bench.aligners.registry",
    "method": "xrealign_bench.specs.methods",
    "task_type": "xrealign_bench.specs.task_types",
    "metric": "xrealign_bench.specs.task_types",
    "data_reader": "xrealign_bench.specs.readers",
    "selection": "xrealign_bench.specs.selections",
}


def registry(group: Group) -> Registry[Any]:
    """Return the registry of a group."""
    if group not in REGISTRIES:
        importlib.import_module(_HOMES[group])
    return REGISTRIES[group]


@contextmanager
def no_imports() -> Iterator[None]:
    """Import no plugin inside the block, and accept names that are not registered, as in a result."""
    token = _imports_allowed.set(False)
    try:
        yield
    finally:
        _imports_allowed.reset(token)


def accepts_unregistered_names() -> bool:
    """Return whether a result or a submission is being read: see `no_imports`."""
    return not _imports_allowed.get()


def load_plugins(named: Sequence[str]) -> None:
    """Import plugins: files that end in .py, and entry points `package/name`.

    Raises:
        UserError: there is no such plugin, or it can't be imported.
    """
    for name in named:
        if name.endswith(".py"):
            _import_file(Path(name))
        else:
            _import_named(name)


def plugins_to_load() -> list[str]:
    """Return what another process must give to `restore_plugins` to have the same plugins."""
    found: dict[str, None] = {}
    for group in REGISTRIES.values():
        for plugin in (plugin for same_name in group._plugins.values() for plugin in same_name):
            module = sys.modules.get(plugin.registered.__module__)
            if "/" in plugin.name:
                found[plugin.name] = None
            elif module is not None and module.__name__.startswith(_FILE_MODULE):
                found[str(module.__file__)] = None
            elif module is not None and module.__name__ != "__main__":  # a new process runs or lacks that one anyway
                found[f"module {module.__name__}"] = None
    return list(found)


def restore_plugins(named: Sequence[str]) -> None:
    """Import the plugins of another process.

    Raises:
        UserError: one of them is not on this machine.
    """
    for name in named:
        if not name.startswith("module "):
            load_plugins([name])
            continue
        try:
            importlib.import_module(name.removeprefix("module "))
        except ImportError as error:
            raise UserError(f"plugin {name}: can't be imported here ({first_line(error)}). Install it") from None


def check_protocol(registered: type, protocol: type, *, optional: Sequence[str] = ()) -> None:
    """Check that a class has the methods of a protocol, with the same arguments.

    Args:
        registered: the class of a plugin.
        protocol: the protocol.
        optional: methods that the class may leave out.

    Raises:
        UserError: a method is missing or takes other arguments; the message names both.
    """
    place = _place(registered)
    if not inspect.isclass(registered):
        raise UserError(f"{place}: a plugin is a class, not {shorten(registered)}. Decorate a class")
    wanted = {name: value for name, value in vars(protocol).items() if inspect.isfunction(value)}
    for name in ("__init__", *(name for name in wanted if not name.startswith("_"))):
        if name == "__init__" and (name not in wanted or wanted[name].__module__ == "typing"):
            needed: list[str] = []
        else:
            needed = list(inspect.signature(wanted[name]).parameters)[1:]
        own = getattr(registered, name, None)
        form = f"{name}({', '.join(['self', *needed])})"
        if own is None or (name == "__init__" and own is object.__init__ and needed):
            if name not in optional:
                raise UserError(f"{place}: {registered.__name__} has no method {name}. Write {form}")
        elif own is not object.__init__ and (problem := _argument_problem(own, needed)):
            raise UserError(f"{place}: {registered.__name__}.{name} {problem}. Write {form}")


def _argument_problem(own: Any, needed: Sequence[str]) -> str | None:
    """Return what is wrong with the arguments of a method, or None."""
    if not callable(own):
        return "is not a method"
    parameters = list(inspect.signature(own).parameters.values())[1:]
    kinds = inspect.Parameter
    has_rest = any(p.kind in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD) for p in parameters)
    names = [p.name for p in parameters if p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)]
    if not has_rest and (lacking := [name for name in needed if name not in names]):
        return f"has no argument '{lacking[0]}'"
    required = [p.name for p in parameters if p.default is kinds.empty and p.name in names]
    if idle := [name for name in required if name not in needed]:
        return f"has an argument '{idle[0]}' that nothing passes"
    return None


def _import_file(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"plugin {path}: no such file. Name a Python file, or package/name of an installed package")
    name = f"{_FILE_MODULE}{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}_{path.stem}"
    text = path.read_bytes()
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__dict__.get("_source") == text:
        return
    for group in REGISTRIES.values():
        group.forget(name)
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__dict__["_source"] = text
    sys.modules[name] = module
    try:
        # Compiled here: the cached bytecode of a file that was changed within a second would be taken for it.
        exec(compile(text, str(path.resolve()), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        if isinstance(error, UserError) and not isinstance(error, ArgumentError):  # it names the file
            raise
        line = _line_in(error, str(path.resolve()))
        raise UserError(
            f"plugin {path}{line}: can't be imported ({type(error).__name__}: {first_line(error)}). Correct the file"
        ) from None
    if not any(group.names_of(name) for group in REGISTRIES.values()):
        del sys.modules[name]
        raise UserError(f"plugin {path}: registers nothing. Decorate a class in it, such as with @xb.register_method")


def blame(named: Sequence[tuple[str, str]], error: Exception) -> str | None:
    """Return a sentence about an error in the code of plugins, or None if none of them can have caused it.

    Args:
        named: group and name of the plugins that ran.
        error: raised while they ran.
    """
    for group, name in named:
        plugin = REGISTRIES[cast(Group, group)].plugin(name)
        if plugin is not None:
            file = inspect.getfile(plugin.registered)
            place = f"{file}{line}" if (line := _line_in(error, file)) else plugin.place
            what = f"{TITLES[plugin.group]} '{name}': fails on what it gets, or returns what can't be used"
            return f"{place}: {what} ({type(error).__name__}: {first_line(error)}). Correct the plugin"
    return None


def _line_in(error: Exception, file: str) -> str:
    """Return `:LINE` of an error in a file, as far as it is known."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}" if error.filename == file else ""
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f":{lines[-1]}" if lines else ""


def _import_named(full_name: str) -> None:
    package, slash, name = full_name.partition("/")
    if not slash:
        raise UserError(f"plugin {shorten(full_name)}: is neither a file that ends in .py nor package/name. Write one")
    groups = [
        group for group in TITLES if name in _entry_points(group, _installed(package, f"plugin {shorten(full_name)}"))
    ]
    if not groups:
        raise UserError(f"plugin {shorten(full_name)}: {_no_entry_point(package)}")
    for group in groups:
        registry(group).plugin(full_name)


def _entry_point(group: Group, package: str, name: str) -> tuple[EntryPoint, Distribution]:
    full_name = f"{TITLES[group]} '{shorten(f'{package}/{name}')}'"
    found = _installed(package, full_name)
    entries = _entry_points(group, found)
    if name not in entries:
        if entries:
            raise unknown(f"{TITLES[group]} of {package} {found.metadata['Version']}:", name, entries)
        raise UserError(f"{full_name}: {_no_entry_point(package)}")
    return entries[name], found


def _installed(package: str, asked_for: str) -> Distribution:
    try:
        return distribution(package)
    except (PackageNotFoundError, ValueError):
        raise UserError(
            f"{asked_for}: the package '{shorten(package)}' is not installed. Install it with pip, or correct the name"
        ) from None


def _entry_points(group: Group, package: Distribution) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in package.entry_points if entry.group == f"xrealign_bench.{group}"}


def _no_entry_point(package: str) -> str:
    found = distribution(package)
    offered = [f"{TITLES[group]} {package}/{name}" for group in TITLES for name in _entry_points(group, found)]
    has = f"it has {', '.join(offered)}" if offered else "it has no plugin for xrealign-bench"
    return f"{package} {found.metadata['Version']} has no such plugin; {has}. Correct the name"


@cache
def _package_of(module: str) -> tuple[str, str] | None:
    """Return the name and version of the installed package that a module belongs to."""
    if module.startswith(_FILE_MODULE) or module == "__main__":
        return None
    names = packages_distributions().get(module.partition(".")[0], [])
    return (names[0], distribution(names[0]).metadata["Version"]) if names else None


def _place(registered: Any) -> str:
    """Return the file and line of a class, as they are known."""
    try:
        file, line = inspect.getsourcefile(registered), inspect.getsourcelines(registered)[1]
    except (OSError, TypeError):
        file, line = None, 0
    if file is None:
        return f"{getattr(registered, '__module__', '?')}:{getattr(registered, '__qualname__', '?')}"
    path = Path(file)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{line}"


def _source_digest(registered: type) -> str:
    """Return the sha256 of the file of a class, of all modules of its package, or of its text in a notebook.

    Raises:
        UserError: no source is at hand, as for a class that was typed at Python's prompt.
    """
    module = sys.modules.get(registered.__module__)
    digests = [hashlib.sha256(file.read_bytes()) for file in _source_files(module)]
    if len(digests) == 1:
        return digests[0].hexdigest()
    if digests:
        return hashlib.sha256(b"".join(each.digest() for each in digests)).hexdigest()
    try:
        return hashlib.sha256(inspect.getsource(registered).encode()).hexdigest()
    except (OSError, TypeError):
        raise UserError(
            f"{registered.__qualname__}: its source can't be read, so changed code could not be told apart. Write the "
            "plugin to a file"
        ) from None


def _source_files(module: ModuleType | None) -> list[Path]:
    if module is None:
        return []
    top = sys.modules.get(module.__name__.partition(".")[0], module)
    if "__path__" in vars(top):
        folders = [Path(folder) for folder in cast("Sequence[str]", top.__path__)]
        return sorted(file for folder in folders for file in folder.rglob("*.py"))
    file = getattr(module, "__file__", None)
    return [Path(file)] if file and Path(file).is_file() else []
