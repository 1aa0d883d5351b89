"""Plugins in files, and bad ones. Truth: what the files say, and keys and messages written by hand."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import BertModel

import xrealign_bench as xb
from tests.plugins.conftest import forget_plugins
from tests.small import BLOCKS, TASK, World, command, write_recipe, write_yaml
from xrealign_bench.data import DataLocation
from xrealign_bench.data.read import read_rows
from xrealign_bench.data.sources import locate
from xrealign_bench.languages import select
from xrealign_bench.plugins import load_plugins, no_imports, plugins_to_load, registry, restore_plugins
from xrealign_bench.results.result import Result
from xrealign_bench.results.storage import read_result
from xrealign_bench.specs import FilesData, Recipe, Suite
from xrealign_bench.specs.plugins_named import names_in_recipe
from xrealign_bench.specs.yaml import load_spec
from xrealign_bench.submit.result_checks import _plugin_problems

METHOD = """
import xrealign_bench as xb
from xrealign_bench.realignment.word_contrastive import WordContrastive

@xb.register_method("{name}", version="{version}", needs_links=True)
class Mine(WordContrastive):
    pass
"""


def write_method(path: Path, name: str = "mine", version: str = "1", more: str = "") -> Path:
    path.write_text(METHOD.format(name=name, version=version) + dedent(more))
    return path


def test_a_file_is_imported_and_its_digest_is_in_keys(new_world: Callable[..., World], tmp_path: Path) -> None:
    world = new_world()
    file, recipe = write_method(tmp_path / "own.py"), write_recipe(world.folder, method="mine")
    ran = world.evaluate("--recipe", recipe, "--plugin", file)
    assert ran.status == 0, ran.err
    (plugin,) = read_result(world.result("mine")).plugins
    assert (plugin.group, plugin.name, plugin.version, plugin.file, plugin.package) == (
        "method", "mine", "1", "own.py", None,
    )  # fmt: skip
    assert plugin.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    reproduced = command("reproduce", world.result("mine")).out
    assert "--plugin own.py" in reproduced and f"source sha256 {plugin.sha256}; get own.py from the" in reproduced
    stages = lambda: json.loads(world.evaluate("--recipe", recipe, "--plugin", file, "--dry-run", "--json").out)  # noqa: E731
    assert all(stage["stored"] for stage in stages()["stages"])
    write_method(file, more="# another line\n")
    lacking = {stage["stage_type"] for stage in stages()["stages"] if not stage["stored"]}
    assert lacking == {"realign", "finetune", "predict"}
    assert read_result(world.result("finetune-only")).plugins == []
    assert '"plugins"' not in (world.result("finetune-only") / "result.json").read_text()


def test_the_api_takes_plugins(new_world: Callable[..., World], tmp_path: Path) -> None:
    world = new_world()
    recipe = write_recipe(world.folder, method="mine")
    file = write_method(tmp_path / "own.py")
    plan = xb.plan(world.checkpoint, recipe, str(world.suite), plugins=[file.as_posix()], offline=True, device="cpu")
    assert any(stage.settings.plugins for stage in plan.stages.values())
    with pytest.raises(xb.ArgumentError, match=r"no argument 'plugin'; did you mean plugins\?"):
        xb.plan(plugin=[file])


def test_a_model_trained_with_a_plugin_is_exported(new_world: Callable[..., World], tmp_path: Path) -> None:
    world = new_world()
    recipe, file = write_recipe(world.folder, method="mine"), write_method(tmp_path / "own.py")
    given = ["--suite", world.suite, "--checkpoint", world.checkpoint, "--store", world.store, "--device", "cpu"]
    refused = command("export", "--recipe", recipe, "--output", tmp_path / "refused", *given)
    assert refused.status == 2 and "method: 'mine' is not allowed" in refused.err
    ran = command("export", "--recipe", recipe, "--plugin", file, "--output", tmp_path / "one", *given)
    assert ran.status == 0, ran.err
    (plugin,) = json.loads((tmp_path / "one" / "realignment.json").read_text())["plugins"]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (plugin["name"], plugin["file"], plugin["sha256"]) == ("mine", "own.py", digest)
    assert (
        f"- Plugin: method `mine`, version 1, of own.py, source sha256 `{digest}`."
        in (tmp_path / "one" / "README.md").read_text()
    )
    forget_plugins()
    assert BertModel.from_pretrained(tmp_path / "one", add_pooling_layer=False).config.num_hidden_layers == BLOCKS
    xb.export(
        tmp_path / "two", world.checkpoint, recipe, str(world.suite), plugins=[str(file)], no_compute=True,
        store=world.store, device="cpu", progress="none",
    )  # fmt: skip
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_a_head_of_a_plugin_is_not_exported(new_world: Callable[..., World], tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import xrealign_bench as xb\n"
        "@xb.register_task_type('own-head', version='1', like='token_classification')\n"
        "class OwnHead:\n    def new_model(self, encoder, task):\n        raise NotImplementedError\n"
    )
    world = new_world()
    write_yaml(world.folder / "phrases.yaml", TASK | {"task_type": "own-head"})
    given = ["--suite", world.suite, "--checkpoint", world.checkpoint, "--store", world.store, "--device", "cpu"]
    more = ["--plugin", tmp_path / "own.py", "--task", "phrases", "--output", tmp_path / "x"]
    ran = command("export", "--recipe", write_recipe(world.folder), *given, *more)
    assert (ran.status, ran.err) == (
        2,
        "error: --task phrases: its head is made by the plugin 'own-head', so transformers can't load it; leave --task "
        "out for the realigned model\n",
    )


def test_lists_say_where_plugins_come_from(tmp_path: Path) -> None:
    ran = command("list", "methods", "--plugin", write_method(tmp_path / "own.py"), "--json")
    origins = {row["name"]: row["from"] for row in json.loads(ran.out)}
    assert origins["word_contrastive"] == "xrealign-bench"
    assert origins["mine"].endswith("own.py:5")


def test_an_unknown_name_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    load_plugins([str(write_method(tmp_path / "own.py", name="span-contrastive"))])
    recipe = write_recipe(tmp_path, method="span-contrastiv")
    with pytest.raises(xb.UserError, match="method: 'span-contrastiv' is not allowed; did you mean 'span-contrastive'"):
        load_spec(recipe, Recipe)
    assert Recipe(name="r", title="R", method="span-contrastive").needs_links
    with pytest.raises(xb.FieldError, match="the package 'no-such-package' is not installed"):
        Recipe(name="r", title="R", method="no-such-package/x")


FAILURES = {
    "a wrong name in its code": (
        "def loss(self, vectors, batch):\n        return batch.anchor",
        "own.py:10: method 'mine': fails",
    ),
    "nothing returned": (
        "def pool(self, hidden, starts, ends):\n        return None",
        "own.py:5: method 'mine': fails",
    ),
}


@pytest.mark.parametrize(("code", "message"), FAILURES.values(), ids=FAILURES.keys())
def test_a_plugin_that_fails_is_named(code: str, message: str, new_world: Callable[..., World], tmp_path: Path) -> None:
    world = new_world()
    (tmp_path / "own.py").write_text(METHOD.format(name="mine", version="1").replace("    pass\n", f"\n\n    {code}\n"))
    ran = world.evaluate("--recipe", write_recipe(world.folder, method="mine"), "--plugin", tmp_path / "own.py")
    assert ran.status == 2
    (told,) = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert message in told and told.endswith("). Correct the plugin")


def test_validate_takes_plugins(tmp_path: Path) -> None:
    recipe, file = write_recipe(tmp_path, method="mine"), write_method(tmp_path / "own.py")
    ran = command("validate", recipe)
    assert ran.status == 2 and "method: 'mine' is not allowed; allowed: none, word_contrastive, sentence" in ran.err
    assert command("validate", recipe, "--plugin", file).status == 0


def test_a_name_that_is_registered_twice_breaks_only_what_uses_it(tmp_path: Path) -> None:
    one, other = write_method(tmp_path / "one.py"), write_method(tmp_path / "other.py")
    load_plugins([str(one), str(other)])
    with pytest.raises(xb.FieldError, match=r"method 'mine': is registered twice, by \S+one\.py:5 and by \S+other"):
        Recipe(name="r", title="R", method="mine")
    load_plugins([str(write_method(tmp_path / "shadow.py", name="word_contrastive"))])
    with pytest.raises(xb.FieldError, match=r"'word_contrastive': is registered twice, by xrealign-bench and by \S+"):
        Recipe(name="r", title="R", method="word_contrastive")
    assert Recipe(name="r", title="R", method="sentence_contrastive").realigns
    ran = command("list", "methods", "--json")
    assert [row["name"] for row in json.loads(ran.out)] == ["sentence_contrastive", "continued_pretraining"]


def test_the_same_file_may_be_named_again(tmp_path: Path) -> None:
    file = str(write_method(tmp_path / "own.py"))
    load_plugins([file, file])
    write_method(tmp_path / "own.py", version="2")
    load_plugins([file])
    assert registry("method").plugin("mine").version == "2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_module", r"bad\.py:1: can't be imported \(ModuleNotFoundError: No module named 'no_such"),
        ("x = = 1", r"bad\.py:1: can't be imported \(SyntaxError"),
        ("x = 1", r"bad\.py: registers nothing"),
        (
            "import xrealign_bench as xb\n\n@xb.register_method('a', version='1', needs_links=True, contrast='spans')\n"
            "class A: ...",
            r"bad\.py:3: can't be imported \(ArgumentError: register_method\(\) has no argument 'contrast'; did you "
            r"mean contrasts\? It takes name, version, needs_links, contrasts, pooling\)\. Correct the file",
        ),
        (
            "import xrealign_bench as xb\n\n@xb.register_selection('My_own', version='1')\nclass A:\n"
            "    def select(self, n, candidates, source, seed): ...",
            r"bad\.py:3: the selection of languages can't be named 'My_own'; use at most 80 lower-case letters a to z, "
            r"digits, '-', '_' and '\.', with a letter or digit first",
        ),
    ],
)
def test_a_broken_file_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(text)
    ran = command("list", "methods", "--plugin", tmp_path / "bad.py")
    assert ran.status == 2 and len(ran.err.splitlines()) == 1
    with pytest.raises(xb.UserError, match=message):
        load_plugins([str(tmp_path / "bad.py")])


@pytest.mark.parametrize("name", ["evaluate", "freeze-search", "validate", "export", "verify"])
def test_a_plugin_that_can_t_be_imported_is_the_only_problem(name: str, tmp_path: Path) -> None:
    """The recipe would be refused too, for the plugin's method."""
    (tmp_path / "bad.py").write_text("import no_such_module")
    recipe = write_recipe(tmp_path, method="mine")
    given = ["--recipe", recipe]
    others = {"validate": [recipe], "verify": [tmp_path / "x"], "export": [*given, "--output", tmp_path / "x"]}
    arguments = others.get(name, given)
    ran = command(name, *arguments, "--plugin", tmp_path / "bad.py")
    assert (ran.status, len(ran.err.splitlines())) == (2, 1), ran.err
    assert f"plugin {tmp_path}/bad.py:1: can't be imported" in ran.err


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("none.py", r"plugin none\.py: no such file"),
        ("numpy", r"plugin numpy: is neither a file"),
        ("numpy/x", r"plugin numpy/x: numpy [\d.]+ has no such plugin; it has no plugin for xrealign-bench"),
        ("no-such-package/x", r"plugin no-such-package/x: the package 'no-such-package' is not installed"),
    ],
)
def test_a_missing_plugin_is_refused(named: str, message: str) -> None:
    with pytest.raises(xb.UserError, match=message):
        load_plugins([named])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "def __init__(self, objective): ...\n def loss(self, vectors, batch): ...",
            r"Mine has no method pool\. Write",
        ),
        (
            "def __init__(self, objective): ...\n def pool(self, hidden, starts): ...\n"
            " def loss(self, vectors, batch): ...",
            r"bad\.py:\d+: Mine\.pool has no argument 'ends'\. Write pool\(self, hidden, starts, ends\)",
        ),
        (
            "def __init__(self, objective, rate): ...\n def pool(self, hidden, starts, ends): ...\n"
            " def loss(self, vectors, batch): ...",
            r"Mine\.__init__ has an argument 'rate' that nothing passes",
        ),
        (
            "def pool(self, hidden, starts, ends): ...\n def loss(self, vectors, batch): ...",
            "Mine has no method __init",
        ),
    ],
)
def test_a_wrong_protocol_names_the_method_and_the_argument(body: str, message: str, tmp_path: Path) -> None:
    header = "import xrealign_bench as xb\n@xb.register_method('mine', version='1', needs_links=True)\nclass Mine:\n "
    (tmp_path / "bad.py").write_text(header + body + "\n")
    with pytest.raises(xb.UserError, match=message):
        load_plugins([str(tmp_path / "bad.py")])


def entry_point(folder: Path, package: str, module: str, text: str) -> None:
    (folder / f"{module}.py").write_text(text)
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[xrealign_bench.method]\nmine = {module}:Mine\n")
    importlib.invalidate_caches()


def test_broken_packages_break_only_what_asks_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    entry_point(tmp_path, "broken-one", "broken_one", "raise RuntimeError('no GPU')\n")
    entry_point(tmp_path, "broken-two", "broken_two", "class Mine: ...\n")
    entry_point(tmp_path, "other-one", "other_one", METHOD.format(name="mine", version="1"))
    entry_point(tmp_path, "other-two", "other_two", METHOD.format(name="mine", version="1"))
    for name, message in (
        (
            "broken-one/mine",
            r"method 'broken-one/mine': the entry point 'mine = broken_one:Mine' of broken-one 1\.0 can",
        ),
        ("broken-two/mine", r"is not registered\. Its author must decorate it with @xb\.register_method"),
        ("broken-one/your", r"unknown method of broken-one 1\.0: 'your'; known: mine"),
    ):
        with pytest.raises(xb.FieldError, match=message):
            Recipe(name="r", title="R", method=name)
    for name in ("other-one/mine", "other-two/mine", "word_contrastive"):
        assert Recipe(name="r", title="R", method=name).needs_links
    assert registry("method").plugin("other-one/mine").package == ("other-one", "1.0")
    assert "mine" not in registry("method")


def test_what_is_stored_may_name_plugins_that_are_not_here() -> None:
    with no_imports():
        recipe = Recipe.model_validate(
            {"name": "r", "title": "R", "method": "x/y", "aligner": {"kind": "x/z", "settings": {"a": 1}},
             "parallel": {"languages": {"select": "unknown", "n": 2}}}
        )  # fmt: skip
        with pytest.raises(ValidationError, match="is not registered"):
            Recipe.model_validate({"name": "r", "title": "R", "method": "<script>"})
    assert recipe.method == "x/y"


def test_a_notebook_may_register_a_class_again() -> None:
    for version in ("1", "2"):

        @xb.register_selection("first", version=version)
        class First:
            """Select the first languages."""

            def select(self, n, candidates, source, seed):
                return candidates[:n]

    assert registry("selection").plugin("first").version == "2"
    assert select("first", 2, ["sw", "fi", "de", "en"]).languages == ("de", "fi")
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "title": "R",
            "method": "word_contrastive",
            "parallel": {"languages": {"select": "first", "n": 2}},
        }
    )
    assert recipe.parallel.languages.select == "first"


def test_a_selection_must_return_n_candidates() -> None:
    @xb.register_selection("wrong", version="1")
    class Wrong:
        def select(self, n, candidates, source, seed):
            return ["xx", "yy"]

    with pytest.raises(xb.UserError, match="'wrong': returned xx, yy, and not 2 different ones of de, fi"):
        select("wrong", 2, ["fi", "de"])


def test_a_data_reader_reads_the_rows_of_a_file(tmp_path: Path) -> None:
    @xb.register_data_reader("pipes", version="1")
    class Pipes:
        def read(self, path):
            for number, line in enumerate(Path(path).read_text().splitlines(), 1):
                text, label = line.split("|")
                yield number, {"text": text, "label": label}

    (tmp_path / "en.txt").write_text("a b|x\nc|y\n")
    fields = {"kind": "files", "format": "pipes", "test": "{config}.txt"}
    source = FilesData.model_validate(fields, context={"folder": tmp_path})
    located = locate(source, "en", "test", DataLocation())
    rows = read_rows(located, ["label", "text"], offline=True, choose=range)
    assert rows.columns == {"label": ["x", "y"], "text": ["a b", "c"]}


def test_json_schemas_do_not_depend_on_plugins(tmp_path: Path) -> None:
    before = json.dumps([Recipe.model_json_schema(), Suite.model_json_schema(), xb.Task.model_json_schema()])
    load_plugins([str(write_method(tmp_path / "own.py"))])
    after = json.dumps([Recipe.model_json_schema(), Suite.model_json_schema(), xb.Task.model_json_schema()])
    assert before == after
    method = Recipe.model_json_schema()["properties"]["method"]
    shipped = ["none", "word_contrastive", "sentence_contrastive", "continued_pretraining"]
    assert method["anyOf"][0] == {"enum": shipped}


def test_a_stored_recipe_is_planned_only_with_its_plugin(new_world: Callable[..., World]) -> None:
    world = new_world()
    with no_imports():
        recipe = Recipe(name="r", title="R", method="gone")
    with pytest.raises(xb.UserError, match=r"recipe 'r': method: unknown method 'gone'; known: .*word_contrastive"):
        xb.plan(world.checkpoint, recipe, str(world.suite), offline=True, device="cpu")


def test_another_process_has_the_same_plugins_or_is_refused(new_world: Callable[..., World], tmp_path: Path) -> None:
    from xrealign_bench.pipeline.ray_worker import check_plugins

    world, file = new_world(), write_method(tmp_path / "own.py")
    recipe = write_recipe(world.folder, method="mine")
    plan = xb.plan(world.checkpoint, recipe, str(world.suite), plugins=[str(file)], offline=True, device="cpu")
    stage = next(stage for stage in plan.stages.values() if stage.settings.plugins)
    named = plugins_to_load()
    assert named == [str(file.resolve())]
    forget_plugins()
    with pytest.raises(xb.UserError, match="lacks it, and the plan has the method 'mine' with code"):
        check_plugins(stage)
    restore_plugins(named)
    check_plugins(stage)
    write_method(file, more="# changed\n")
    restore_plugins(named)
    with pytest.raises(xb.UserError, match=r"has code [0-9a-f]{12} \(\S+own\.py:5\), and the plan"):
        check_plugins(stage)


def test_a_submission_must_record_the_plugins_of_its_recipe() -> None:
    with no_imports():
        recipe = Recipe(name="r", title="R", method="gone", aligner="gold")
    suite = xb.load_suite("demo")
    assert names_in_recipe(recipe, suite) == [("method", "gone"), ("aligner", "gold")]
    result = Result.model_construct(recipe=recipe, suite=suite, plugins=[])
    problem = "its recipe has the method 'gone', and its plugins don't; evaluate it again"
    assert list(_plugin_problems(result)) == [problem]


def test_no_plugin_is_named_none(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        'import xrealign_bench as xb\n\n\n@xb.register_aligner("none", version="1")\nclass Mine:\n'
        "    def align(self, text, resources):\n        return []\n"
    )
    with pytest.raises(xb.UserError, match="the aligner can't be named 'none', which stands for no aligner; rename it"):
        load_plugins([str(file)])
