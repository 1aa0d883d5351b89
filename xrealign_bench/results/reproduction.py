"""Commands that install a result's environment and compute it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from xrealign_bench.data.patterns import LANGUAGE, fill
from xrealign_bench.errors import UserError, convert_os_errors
from xrealign_bench.models.checkpoint_files import EMBEDDED
from xrealign_bench.models.dtypes import PRECISIONS
from xrealign_bench.plugins import TITLES
from xrealign_bench.results.records import DataRecord
from xrealign_bench.results.result import Result
from xrealign_bench.specs import (
    Corpus,
    DataSource,
    FilesData,
    HubData,
    Recipe,
    Suite,
    Task,
    UrlData,
    digest,
    find_spec,
    shipped_names,
    shipped_suite_name,
)
from xrealign_bench.specs.data import patterns
from xrealign_bench.specs.plugin import PluginRecord

OwnSpec = Suite | Task | Corpus | Recipe

_WRITE = "'xrealign-bench reproduce RESULT --write FOLDER'"


def install_command(result: Result) -> str:
    """Return the command that installs the package versions of a result."""
    versions = {"xrealign-bench": result.harness_version} | result.packages
    return shlex.join(["pip", "install", *(f"{name}=={version}" for name, version in sorted(versions.items()))])


def evaluate_command(result: Result, folder: Path | None = None) -> str:
    """Return the command that computes a result in its environment.

    The reader adds where local data are (see `reproduction_notes`).

    Args:
        result: the result.
        folder: where `write_specs` wrote the result's specs. None: the command names those that are not shipped by
            their files' names, since a result has no local paths.
    """

    def file_of(spec: Suite | Recipe) -> str:
        return str((folder or Path()) / f"{spec.name}.yaml")

    checkpoint, settings = result.checkpoint, result.known_compute_settings
    torchrun = ["torchrun", "--nproc-per-node", str(settings.processes), "-m", "xrealign_bench"]
    words = torchrun if settings.processes > 1 else ["xrealign-bench"]
    words += ["evaluate", "--suite", _shipped_suite(result) or file_of(result.suite)]
    words += ["--recipe", result.recipe.name if _is_shipped(result.recipe) else file_of(result.recipe)]
    for file in dict.fromkeys(plugin.file for plugin in result.plugins if plugin.file):
        words += ["--plugin", file]
    words += ["--development"] if result.suite.is_development else []
    words += ["--checkpoint", checkpoint.id]
    words += ["--revision", checkpoint.revision] if checkpoint.revision else []
    words += _selection(result)
    words += ["--device", settings.device]
    for short, name in PRECISIONS.items():
        words += ["--precision", short] if name == settings.dtype != "float32" else []
    words += ["--quantise", settings.quantised] if settings.quantised else []
    words += ["--gradient-checkpointing"] if settings.gradient_checkpointing else []
    return f"OMP_NUM_THREADS={settings.threads} {shlex.join(words)}"


def _selection(result: Result) -> list[str]:
    """Return the options for tasks, languages, seeds and limit that differ from the suite's."""
    tested = {score.task for score in result.scores}
    tasks = [task.name for task in result.tasks if task.name in tested]
    targets = [language.code for language in result.languages]
    words = []
    if len(tasks) < len(result.suite.tasks):
        words += _repeat_option("--task", tasks)
    if len(targets) < len(result.suite.target_languages):
        words += _repeat_option("--language", targets)
    if result.seeds != result.suite.seeds:
        words += _repeat_option("--seed", result.seeds)
    return [*words, "--limit", str(result.limit)] if result.limit else words


def _repeat_option(option: str, values: Iterable[object]) -> list[str]:
    return [word for value in values for word in (option, str(value))]


def reproduction_notes(result: Result, folder: Path | None = None) -> list[str]:
    """Return what a reader must know besides the command: specs of the result's own, local files, and addresses.

    Args:
        result: the result.
        folder: where `write_specs` wrote the result's specs, if it did.
    """
    checkpoint, suite = result.checkpoint, result.suite
    notes = []
    if folder is None and _shipped_suite(result) is None:
        theirs = find_spec(suite.name, Suite).id if suite.name in shipped_names(Suite) else None
        is_other = theirs not in (None, suite.id)
        state = f"this installation has {theirs}" if is_other else "not shipped with this installation"
        notes.append(
            f"suite {suite.id}: {state}; name its YAML file with --suite, or write it, its tasks and its corpora from "
            f"the result: {_WRITE}"
        )
    if folder is None and not _is_shipped(result.recipe):
        notes.append(
            f"recipe {result.recipe.name}: not shipped with this installation; name its YAML file with --recipe, or "
            f"write it from the result: {_WRITE}"
        )
    notes += map(_describe_plugin, result.plugins)
    if absent := ", ".join(_absent_specs(result)):
        notes.append(f"suite {suite.id}: put the YAML of {absent} beside its file; the result does not have it")
    on_hub = {task.name for task in result.tasks if isinstance(task.source, HubData)}
    on_hub |= {corpus.name for corpus in result.corpora if isinstance(corpus.source, HubData)}
    if any(record.name in on_hub and record.revision is None for record in result.data):
        notes.append("data: read from a local copy of unknown Hub revision; name its folder with --data-root")
    notes += _describe_files(result, folder)
    if checkpoint.revision is None and checkpoint.id != EMBEDDED:
        notes.append(f"checkpoint {checkpoint.id}: a folder with weights of sha256 {checkpoint.weights_sha256}")
    return notes


def _describe_plugin(plugin: PluginRecord) -> str:
    """Say how to get a plugin, which is code of other people."""
    what = f"{TITLES[plugin.group]} {plugin.name}: a plugin, version {plugin.version}, source sha256 {plugin.sha256}"
    if plugin.file is not None:
        return f"{what}; get {plugin.file} from the result's authors and read it before it is run"
    return f"{what}; read it, then pip install '{plugin.package}=={plugin.package_version}'"


def _absent_specs(result: Result) -> list[str]:
    """Return the tasks and corpora of the suite that are neither in the result nor shipped."""
    if _shipped_suite(result) is not None:
        return []
    known = {*(task.name for task in result.tasks), *(corpus.name for corpus in result.corpora)}
    named = [(name, Task) for name in result.suite.tasks] + [(name, Corpus) for name in result.suite.parallel.corpora]
    return [name for name, model in named if name not in known and name not in shipped_names(model)]


def _describe_files(result: Result, folder: Path | None) -> list[str]:
    """Return a line for each local file and each address that data were read from, with its digest."""
    where = "beside the suite's YAML" if folder is None else f"to be put below {folder}"
    lines: dict[str, None] = {}
    for record in result.data:
        source = _source_of(result, record)
        if not isinstance(source, FilesData | UrlData) or record.split not in patterns(source):
            continue
        path = fill(patterns(source)[record.split], record.config)
        has_several = any(sign in path for sign in ("*", LANGUAGE)) or (isinstance(source, UrlData) and source.member)
        digest_name = "digest of its files" if has_several else "sha256"
        place = f"local file {path}, {where}" if isinstance(source, FilesData) else path
        lines[f"data: {place}, {digest_name} {record.fingerprint}"] = None
    return list(lines)


def _source_of(result: Result, record: DataRecord) -> DataSource | None:
    """Return the source that a split was read from; None for lexicons and in results without their corpora."""
    if record.used_as == "parallel":
        return next((corpus.source for corpus in result.corpora if corpus.name == record.name), None)
    task = next((task for task in result.tasks if task.name == record.name), None)
    return task.part(record.language).source if task and record.language in task.languages else None


def write_specs(result: Result, folder: Path) -> list[Path]:
    """Write the YAML of a result's suite with its tasks and corpora, and of its recipe, unless they are shipped.

    Returns:
        The written files.

    Raises:
        UserError: a file exists already or can't be written, or the suite is not in the result as it was written.
    """
    specs = _own_specs(result)
    paths = [folder / f"{spec.name}.yaml" for spec in specs]
    if len(set(paths)) < len(paths):
        raise UserError(f"{folder}: two specs of the result have the same name; write them by hand")
    if there := [path for path in paths if path.exists()]:
        raise UserError(f"{there[0]}: exists already; name an empty folder with --write")
    with convert_os_errors(str(folder), "name another folder with --write"):
        folder.mkdir(parents=True, exist_ok=True)
        for spec, path in zip(specs, paths, strict=True):
            spec.to_yaml(path)
    return paths


def _own_specs(result: Result) -> list[OwnSpec]:
    specs: list[OwnSpec] = []
    if _shipped_suite(result) is None:
        if result.suite.is_development:
            raise UserError(
                f"suite {result.suite.id}: the result has its development part only; name its own file with --suite"
            )
        named: list[OwnSpec] = [*result.tasks, *result.corpora]
        specs += [result.suite, *(spec for spec in named if not _is_shipped(spec))]
    return [*specs, *([] if _is_shipped(result.recipe) else [result.recipe])]


def _is_shipped(spec: OwnSpec) -> bool:
    if spec.name not in shipped_names(type(spec)):
        return False
    return digest(find_spec(spec.name, type(spec))) == digest(spec)  # type: ignore[type-var]


def _shipped_suite(result: Result) -> str | None:
    """Return the name that this installation has for the result's suite, or None if it does not have it."""
    name = shipped_suite_name(result.suite)
    if name is None or result.suite.is_development:
        return name
    return name if find_spec(name, Suite) == result.suite else None


def format_costs(result: Result) -> str:
    """Return the recorded time, memory and floating-point operations of a result's stages, as one line."""
    minutes = sum(stage.seconds for stage in result.stages) / 60
    parts = [f"{minutes:,.1f} minutes"]
    if memory := [stage.peak_memory_bytes for stage in result.stages if stage.peak_memory_bytes is not None]:
        parts.append(f"at most {max(memory) / 2**30:.2f} GiB of memory")
    if result.total_flops is not None:
        parts.append(f"about {result.total_flops:.2g} floating-point operations")
    return f"its {len(result.stages):,} stages took {', '.join(parts)}"
