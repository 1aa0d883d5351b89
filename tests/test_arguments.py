"""Arguments of the Python API are checked before anything runs. Truth: the documented types, and the messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

import xrealign_bench as xb
from tests.small import write_checkpoint, write_suite
from xrealign_bench.arguments import names_arguments

RECIPES = "a name, the path of a YAML file, a Recipe or a list of them"
MEASURES = "'alignment', 'drift', 'probes', 'gradients', 'errors', 'anchors' or a list of them"
FLOATS = "'float32', 'bfloat16' or 'float16'"
SPEC = "a name or the path of a YAML file"
MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("evaluate", {"recipes": 3}, f"recipes is 3; give {RECIPES}"),
    ("evaluate", {"recipes": [None]}, f"recipes is [None]; give {RECIPES}"),
    ("evaluate", {"progress": "bar"}, "progress is 'bar'; give 'auto', 'none' or a function"),
    ("plan", {"checkpoint": 3}, "checkpoint is 3; give a Hub id, a folder, a PreTrainedModel or None"),
    ("plan", {"seeds": "31"}, "seeds is '31'; give an integer or a list of them"),
    ("plan", {"seeds": [3.5]}, "seeds is [3.5]; give an integer or a list of them"),
    ("plan", {"seeds": True}, "seeds is True; give an integer or a list of them"),
    ("plan", {"limit": "20"}, "limit is '20'; give an integer or None"),
    ("plan", {"offline": 1}, "offline is 1; give True or False"),
    ("plan", {"precision": "bf8"}, f"precision is 'bf8'; give {FLOATS}"),
    ("plan", {"languages": 3}, "languages is 3; give a string or a list of them"),
    ("plan", {"languages": [None]}, "languages is [None]; give a string or a list of them"),
    ("plan", {"plugins": [None]}, "plugins is [None]; give a string, a path or a list of them"),
    ("realign", {"seed": "a"}, "seed is 'a'; give an integer or None"),
    ("analyse", {"sentences": "500"}, "sentences is '500'; give an integer"),
    ("analyse", {"pooling": "max"}, "pooling is 'max'; give 'mean', 'weighted_mean', 'last_token' or None"),
    ("analyse", {"measures": ["mexa"]}, f"measures is ['mexa']; give {MEASURES}"),
    ("analyse", {"measures": "driftt"}, f"measures is 'driftt'; give {MEASURES}"),
    ("export", {"output": 3}, "output is 3; give a string or a path"),
    ("export", {"output": "q", "dtype": "int8"}, "dtype is 'int8'; give 'float32', 'float16', 'bfloat16' or None"),
    ("export", {"seed": 31}, "missing a required argument: 'output'; see help(export)"),
    ("load_results", {"folder": 3}, "folder is 3; give a string or a path"),
    ("load_recipe", {"name_or_file": None}, f"name_or_file is None; give {SPEC}"),
    ("plot.gains", {"results": [], "comparisons": None}, "comparisons is None; give a list, each item a Comparison or"),
    ("plot.distance", {"result": 3, "comparison": 3}, "result is 3; give one result, such as run.results[1]"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "message"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_value_of_another_type_is_told_before_anything_runs(
    name: str, arguments: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    function: Any = xb
    for part in name.split("."):
        function = getattr(function, part)
    with pytest.raises(xb.ArgumentError) as caught:
        function(**arguments)
    assert str(caught.value).startswith(f"{name}(): {message}") and "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_objects_are_named_by_their_type() -> None:
    suite: Any = xb.load_suite("demo")
    with pytest.raises(xb.ArgumentError) as caught:
        xb.plan(suite=suite)
    told = "(write a Suite with to_yaml next to its tasks, and give the path)"
    assert str(caught.value) == f"plan(): suite is of type Suite; give {SPEC} {told}"
    with pytest.raises(xb.ArgumentError, match=r"compare\(\): result is of type Suite; give the folder of a result, "):
        xb.compare(suite, suite)


def test_several_languages_are_a_list() -> None:
    with pytest.raises(xb.ArgumentError, match=r"languages: is 'de,sw'; give a list, such as \['de', 'sw'\]"):
        xb.plan(languages="de,sw")


@pytest.mark.parametrize("function", [xb.export, xb.realign])
def test_one_seed_is_no_list_of_seeds(function: Any, tmp_path: Path) -> None:
    with pytest.raises(xb.ArgumentError, match=r"has no argument 'seeds'; did you mean seed\?"):
        function(tmp_path / "model", seeds=[42])


def test_what_is_annotated_is_taken() -> None:
    """Classes that are imported for type checkers only count by their name, base classes included."""

    @names_arguments
    def function(*, a: Literal["x"] | int | None = None, b: Named | None = None) -> tuple[Any, Any]:  # type: ignore[name-defined]
        return a, b

    class Named: ...

    class Child(Named): ...

    child = Child()
    assert function(a="x", b=child) == ("x", child)
    assert function(a=3, b=None) == (3, None)
    with pytest.raises(xb.ArgumentError, match=r"function\(\): b is 3; give a Named or None"):
        function(b=3)
    with pytest.raises(xb.ArgumentError, match=r"function\(\): a is False; give 'x', an integer or None"):
        function(a=False)


def test_a_plan_takes_paths_and_sequences(tmp_path: Path) -> None:
    write_suite(tmp_path)
    write_checkpoint(tmp_path / "bert")
    (tmp_path / "mine.py").write_text("import xrealign_bench as xb\n")
    given: dict[str, Any] = {"offline": True, "store": str(tmp_path / "store")}
    planned = xb.plan(
        tmp_path / "bert", ("finetune-only",), tmp_path / "small.yaml", seeds=(3, 7), languages=("de",), **given
    )
    told = "<plan: suite small, checkpoint bert, recipes finetune-only, seeds 3, 7, "
    assert repr(planned) == f"{told}{len(planned.stages)} stages>"
    with pytest.raises(xb.UserError, match=r"mine\.py: registers nothing"):
        xb.plan(plugins=str(tmp_path / "mine.py"))
    with pytest.raises(xb.UserError, match=r"mine\.py: registers nothing"):
        xb.plan(plugins=[tmp_path / "mine.py"])


def test_folders_without_results_are_told(tmp_path: Path) -> None:
    with pytest.raises(xb.UserError, match="contains no results; give the folder that `evaluate` wrote"):
        xb.load_results(tmp_path)
    with pytest.raises(xb.UserError, match="a: no such folder"):
        xb.compare(tmp_path / "a", tmp_path / "b")


def test_a_spec_is_written_to_a_folder_that_exists(tmp_path: Path) -> None:
    recipe = xb.Recipe(name="mine", title="Mine", method="word_contrastive", freeze=xb.Freeze(blocks=[0]))
    with pytest.raises(xb.UserError, match=r"No such file or directory .*; create the folder first") as caught:
        recipe.to_yaml(tmp_path / "nowhere" / "mine.yaml")
    assert "\n" not in str(caught.value)
    assert recipe == xb.Recipe(name="mine", title="Mine", method="word_contrastive", freeze={"blocks": [0]})
    with pytest.raises(xb.FieldError, match=r"freeze: blocks: 'lower_hlaf' is not a selection of blocks"):
        xb.Freeze(blocks="lower_hlaf")


@pytest.mark.parametrize("options", [xb.RealignOptions, xb.PlanOptions, xb.AnalyseOptions, xb.ExportOptions])
def test_help_lists_every_option(options: Any) -> None:
    texts = "".join(each.__doc__ for each in (options, xb.PlanOptions, xb.RealignOptions))
    lists = [line.split(":")[0] for line in texts.splitlines() if line.startswith("        ") and ": " in line]
    assert set(options.__annotations__) <= {name.strip() for line in lists for name in line.split(",")}
