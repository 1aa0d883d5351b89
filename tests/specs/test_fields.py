"""What fields refuse. Truth: values that break one rule each, and neighbours of the bounds that do not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.small import CORPUS, RECIPE, SUITE, TASK
from xrealign_bench.errors import MOST_PROBLEMS, UserError
from xrealign_bench.specs import Corpus, Lock, Recipe, Suite, Task, load_spec
from xrealign_bench.specs.core_schema import write_yaml
from xrealign_bench.specs.yaml import LARGEST_FILE

LOCK = {"splits": [{"dataset": "a/b", "config": "c", "split": "s", "revision": None, "sha256": None}]}
RETRIEVAL = {
    "name": "found", "title": "Found", "licence": "CC0", "task_type": "retrieval", "text_language": "en",
    "source": {"kind": "hub", "dataset": "a/b"}, "configs": {"de": "de"},
    "columns": {"text": "t", "text_pair": {"de": "d"}},
}  # fmt: skip
PROMPTED = {
    "name": "asked", "title": "Asked", "licence": "CC0", "task_type": "prompted_classification", "labels": ["a", "b"],
    "source": {"kind": "hub", "dataset": "a/b"}, "configs": {"de": "de"}, "columns": {"text": "t", "label": "l"},
    "prompt": "{text}\n{label}", "verbalisers": {"a": "A", "b": "B"},
}  # fmt: skip
WHOLE: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "recipe": (Recipe, RECIPE | {"objective": {}, "adapter": {}}),
    "selecting": (Recipe, RECIPE | {"parallel": {"languages": {"select": "uriel", "n": 1}}}),
    "joint": (Recipe, RECIPE | {"schedule": {"when": "during"}}),
    "suite": (Suite, SUITE | {"finetuning_by_task": {"phrases": {}}}),
    "task": (Task, TASK | {"source": {"kind": "hub", "dataset": "a/b"}, "also": []}),
    "retrieval": (Task, RETRIEVAL),
    "prompted": (Task, PROMPTED),
    "corpus": (Corpus, CORPUS | {"source": {"kind": "hub", "dataset": "a/b"}}),
    "lock": (Lock, LOCK),
}


def load(folder: Path, kind: str, where: str = "", value: Any = None) -> Any:
    """Load the good spec of a kind with one value changed."""
    model, whole = WHOLE[kind]
    content = copy.deepcopy(whole)
    *above, last = where.split(".")
    target: Any = content
    for part in above:
        target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
    if where:
        target[int(last) if isinstance(target, list) else last] = value
    path = folder / "f.yaml"
    path.write_text(write_yaml(content, allow_unicode=True), encoding="utf-8")
    return load_spec(path, model)


@pytest.mark.parametrize("kind", WHOLE)
def test_the_specs_that_are_changed_are_good(kind: str, tmp_path: Path) -> None:
    load(tmp_path, kind)


SHOWN = {
    "\x1b[31mred": r"U\+001B", "a\tb": r"U\+0009", "a\nb": r"U\+000A", "a\rb": r"U\+000D",
    "a\u2028b": r"U\+2028", "a\u2029b": r"U\+2029",
    "a\u202eb": r"U\+202E", "a\u202a": r"U\+202A", "\u2066a": r"U\+2066", "a\u2069": r"U\+2069", "\u200ea": r"U\+200E",
    "a\u200f": r"U\+200F", "a\u200bb": r"U\+200B", "a\u200cb": r"U\+200C", "a\u200db": r"U\+200D",
    "a\u2060b": r"U\+2060", "\ufeffa": r"U\+FEFF", "a\u00adb": r"U\+00AD", "a\u3164": r"U\+3164",
    "a\u2800b": r"U\+2800",
    "a\ufe0f": r"U\+FE0F", "a\U000e0041": r"U\+E0041", "a\ue000": r"U\+E000",
    "<b>x</b>": "has HTML in it", "a <script>": "has HTML in it", "a< /p>": "has HTML in it", "<!-- x": "has HTML",
}  # fmt: skip
TITLES = SHOWN | {
    "": "is not allowed; allowed: text of at least 1", "  ": "is blank", "\u3000": "is blank",
    " a": "begins or ends with a space", "a ": "begins or ends with a space",
    "=1+1": "begins with '=', which a spreadsheet", "+1": "begins with '\\+'", "-1": "begins with '-'", "@a": "begins",
    "x" * 201: "text of at least 1, at most 200 characters", "x" * 10**5: r"'x+… .100,000 characters.' is not allowed",
}  # fmt: skip
TITLE_FIELDS = ["recipe:title", "suite:title", "task:title", "task:licence", "corpus:title", "corpus:licence"]


@pytest.mark.parametrize("text", TITLES, ids=ascii)
def test_titles_are_one_visible_line(text: str, tmp_path: Path) -> None:
    for field in TITLE_FIELDS if text in ("", "<b>x</b>", "=1+1", "a\u202eb") else TITLE_FIELDS[:1]:
        kind, _, where = field.partition(":")
        with pytest.raises(
            UserError, match=rf"f\.yaml:\d+: ({where}: .*{TITLES[text]}|is not YAML: control)"
        ) as caught:
            load(tmp_path, kind, where, text)
        assert len(str(caught.value)) < 400
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["a <", "1 < 2", "é ü 中文 עברית 日本", "x" * 200, "AT&T", "a-b+c@d=e", "naïve\u00a0: x"]
)
def test_a_title_may_be(text: str, tmp_path: Path) -> None:
    assert load(tmp_path, "recipe", "title", text).title == text


@pytest.mark.parametrize(
    "where", ["recipe:description", "recipe:citation", "suite:description", "task:citation", "corpus:citation"]
)
def test_sentences_are_longer_titles_and_may_be_empty(where: str, tmp_path: Path) -> None:
    kind, _, field = where.partition(":")
    for good in ("", "x" * 500):
        load(tmp_path, kind, field, good)
    for bad in ("x" * 501, " ", "a\nb", "<i>", "=a", "\u202e"):
        with pytest.raises(UserError, match=f": {field}: "):
            load(tmp_path, kind, field, bad)


@pytest.mark.parametrize(
    "where",
    ["task:labels.0", "task:configs.de", "task:columns.words", "task:train_split", "task:test_split", "corpus:config",
     "corpus:split", "corpus:columns.de", "corpus:codes.de", "lock:splits.0.config", "lock:splits.0.split",
     "retrieval:columns.text_pair.de", "suite:checkpoint"],
)  # fmt: skip
def test_names_in_data_are_one_visible_line(where: str, tmp_path: Path) -> None:
    kind, _, field = where.partition(":")
    for good in ("-1", "+", "aze_Latn | aze-Latn", "O", "no"):
        load(tmp_path, kind, field, good)
    for bad in ("", " ", "a\nb", "a\u202eb", "a\u200b", "<b>", "x" * 201):
        with pytest.raises(UserError, match=r"f\.yaml:\d+: \S+: "):
            load(tmp_path, kind, field, bad)


def test_models_read_lines_and_joiners_and_nothing_hidden(tmp_path: Path) -> None:
    for good in ("{text}\n\t{label}", "{text} \u200c {label}", "- {text}{label}"):
        load(tmp_path, "prompted", "prompt", good)
        load(tmp_path, "prompted", "verbalisers.a", good)
    for bad in ("{text}{label}\u202e", "{text}{label}\x00", "{text}{label}" + "x" * 2000):
        with pytest.raises(UserError):
            load(tmp_path, "prompted", "prompt", bad)
    with pytest.raises(UserError, match=r"verbalisers.a: .*at most 200 characters"):
        load(tmp_path, "prompted", "verbalisers.a", "x" * 201)


BOUNDS: dict[str, tuple[list[Any], list[Any]]] = {
    "recipe:name": (["a", "a-1.b", "a" * 80], ["A", "", "-a", "a/b", "..", "a b", "a\n", "é", "a" * 81, 3]),
    "recipe:aligner": (["eflomal", None], ["A", 1]),
    "recipe:freeze.blocks": (
        ["::2", "-3:", [0, 10**4]],
        ["::0", "99999:", "9" * 5000 + ":", [-1], [10**4 + 1], [0] * 1001, 1.0, True],
    ),
    "recipe:freeze.embeddings": ([True], ["true", "yes", 1, None]),
    "recipe:objective.temperature": ([1, 1e-6, 1000], [0, -1, 1001, float("inf"), float("nan"), "1", True, None]),
    "recipe:objective.layer": ([0, 10**4], [-1, 10**4 + 1, 1.0, "1", True]),
    "recipe:objective.projection": ([1, None, 10**5], [0, 10**5 + 1, 1.0, "8"]),
    "recipe:objective.regularisation": ([{"weight": 1}], [{"weight": 0}, {"weight": 1e7}, {}, 1]),
    "recipe:parallel.languages": (
        [["de"], ["swh_Latn", "pt-BR", "NB"]],
        [["d"], ["de "], ["de/../x"], ["x" * 50], ["de"] * 1001, [1]],
    ),
    "selecting:parallel.languages.n": ([1, 1000], [0, 1001, "1", 1.0]),
    "recipe:schedule.steps": ([1, 10**7], [0, -1, 10**7 + 1, 10**4000, 1.0, "1", True]),
    "recipe:schedule.batch_size": ([1, 10**5], [0, 10**5 + 1]),
    "recipe:schedule.max_length": ([3, 10**6], [2, 10**6 + 1]),
    "recipe:schedule.learning_rate": ([1, 1e-9, 10], [0, -1e-5, 10.1, "1e-5", float("inf")]),
    "joint:schedule.weight": ([0.1, 10**6], [0, 10**6 + 1]),
    "recipe:adapter.r": ([1, 10**4], [0, 10**4 + 1]),
    "recipe:adapter.dropout": ([0, 0.5], [-0.1, 1, "0"]),
    "suite:version": (["1.0", "12.34"], [1.0, "1", "1.0.0", "1.0\n", "1" * 5 + ".0", "१.०"]),
    "suite:source_language": (["en", "fr"], ["e", "English", "", 1]),
    "suite:target_languages": ([["de"]], [[], ["de"] * 1001, "de"]),
    "suite:seeds": ([[0, 2**32 - 1]], [[], [-1], [2**32], ["1"], [1.0], [True], list(range(1001))]),
    "suite:finetuning.learning_rate": (
        [{"default": 1}],
        [{}, {"default": 0}, {"default": "1e-5"}, {"default": 1, "<b>": 1}],
    ),
    "suite:finetuning.steps": (
        [1, 10**7, {"default": 1}, {"default": 1965, "xlm-roberta": 1970}],
        [0, 1.5, "3", {}, {"xlm-roberta": 3}, {"default": 0}, {"default": 1, "<b>": 1}],
    ),
    "suite:finetuning.test_max_length": ([3, 10**6, None], [2, 10**6 + 1, "96"]),
    "suite:long_sentences": (["windows", "truncate"], ["cut", None]),
    "suite:lone_word_markers": (["keep", "delete"], [True, None]),
    "suite:finetuning.warmup": ([0, 0.9], [1, -0.1]),
    "suite:finetuning_by_task.phrases.steps": ([1, None], [0, 10**7 + 1]),
    "suite:test_examples": ([1, 10**9, None], [0, 10**9 + 1]),
    "suite:tiers": ([{"high": [5], "medium": [], "low": [0]}], [{"high": [6]}, {"high": [-1]}, {"high": [0] * 7}]),
    "suite:bands.cuts": (
        [[0, 1], [0.5, 0.5], None],
        [[0.6, 0.5], [-0.1, 1], [0, 1.1], [0.1], [0.1, 0.2, 0.3], ["0.1", "0.2"]],
    ),
    "task:source.dataset": (["a/b", "A-1/b_c.d"], ["a", "../b", "a/..", "a/b/c", "/b", "a/.b", "é/b", "x" * 97 + "/b"]),
    "task:source.revision": (["main", "refs/pr/1", None], ["", "/x", "a b", "x" * 201, "\u202e"]),
    "task:configs": ([{"de": "a"}], [{}, {"German": "a"}, {"de/..": "a"}, {"": "a"}]),
    "task:labels": ([["a", "b"]], [["a"] * 1001, ["a"], "a"]),
    "task:train_examples": ([1, None], [0, 1.5, 10**9 + 1]),
    "retrieval:skip_examples": ([0, 10**9], [-1, 10**9 + 1]),
    "corpus:pairs": ([1, None], [0, True]),
    "corpus:lexicons": (["muse", "muse/dictionaries", None], ["../x", "/x", "a//b", "a/../b", "", "./a"]),
    "corpus:lexicons_url": (
        ["https://a.org/{source}-{target}.txt", "http://a/b", None],
        ["ftp://a/b", "file:///etc/passwd", "javascript:alert(1)", "a.org", "https://", "https://a b", "https://a/<b>"],
    ),
    "lock:splits.0.revision": (["0" * 40, None], ["0" * 39, "0" * 41, "G" * 40, "0" * 40 + "\n"]),
}  # fmt: skip


@pytest.mark.parametrize("field", BOUNDS)
def test_fields_accept_values_within_their_bounds(field: str, tmp_path: Path) -> None:
    kind, _, where = field.partition(":")
    good, bad = BOUNDS[field]
    for value in good:
        load(tmp_path, kind, where, value)
    for value in bad:
        with pytest.raises(UserError, match=r"f\.yaml:\d+: ") as caught:
            load(tmp_path, kind, where, value)
        assert len(str(caught.value)) < 700, value


def test_quotes_around_a_number_are_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"schedule.steps: '3' is text; remove the quotes$"):
        load(tmp_path, "recipe", "schedule.steps", "3")


def test_long_lists_of_problems_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("\n".join(f"field{n}: {'x' * 100}" for n in range(8000)))
    with pytest.raises(UserError) as caught:
        load_spec(path, Recipe)
    lines = str(caught.value).splitlines()
    assert len(lines) == MOST_PROBLEMS + 1 and lines[1].startswith(f"{path}:1: name: is required")
    assert lines[-1] == f"{path}: {8002 - MOST_PROBLEMS:,} more problems; fix these first"


def test_a_file_is_refused_by_its_size_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("[" * (LARGEST_FILE + 1))
    for large in (path, Path("/dev/zero")):
        with pytest.raises(UserError, match=r": has more than the 1,048,576 bytes that a spec may have; write less$"):
            load_spec(large, Recipe)


@pytest.mark.parametrize(
    ("aligner", "message"),
    [
        (
            "{kind: eflomol}",
            "aligner.kind: 'eflomol' is not allowed; did you mean 'eflomal'? allowed: eflomal, fast",
        ),
        ("{kind: eflomal, symmetrisation: union}", "aligner.symmetrisation: 'union' is not allowed; allowed: intersec"),
        ("{kind: lexicon, pairs: 3}", "aligner.pairs: no such field; "),
        ("{kind: similarity}", "aligner.checkpoint: is required and missing"),
        ("{symmetrisation: intersection}", "aligner.kind: is required and missing"),
        ("Eflomal", "aligner: 'Eflomal' is not allowed; allowed: lower-case letters"),
    ],
)
def test_an_aligner_is_a_name_or_a_mapping_of_its_kind(aligner: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"name: r\ntitle: R\nmethod: word_contrastive\naligner: {aligner}\n")
    with pytest.raises(UserError) as caught:
        load_spec(path, Recipe)
    assert f"r.yaml:4: {message}" in str(caught.value) and len(str(caught.value).splitlines()) == 1
