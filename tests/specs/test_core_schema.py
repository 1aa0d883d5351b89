"""YAML's core schema. Truth: the examples of section 10.3.2 of YAML 1.2.2, and values worked out by hand."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml

from xrealign_bench.errors import UserError
from xrealign_bench.specs.core_schema import MAX_DEPTH, read_yaml, write_yaml

SCALARS: dict[str, Any] = {
    "null": None, "Null": None, "NULL": None, "~": None, "": None, "nULL": "nULL",
    "true": True, "False": False, "TRUE": True, "tRUE": "tRUE",
    "yes": "yes", "no": "no", "NO": "NO", "on": "on", "off": "off", "y": "y", "n": "n",
    "0": 0, "-19": -19, "+7": 7, "0o7": 7, "0x3A": 58, "017": 17, "0o17": 15, "-0x1": "-0x1", "0b1": "0b1",
    "1_000": "1_000", "1:30": "1:30", "190:20:30": "190:20:30",
    "0.": 0.0, "-0.0": -0.0, ".5": 0.5, "+12e03": 12000.0, "-2E+05": -200000.0, "2e-5": 2e-5, "1e": "1e",
    ".inf": float("inf"), "-.INF": float("-inf"), "+.Inf": float("inf"), ".": ".", 
    "2026-01-02": "2026-01-02", "2026-13-45": "2026-13-45", "2001-12-14t21:59:43.1Z": "2001-12-14t21:59:43.1Z",
    "=": "=", "<<": "<<", "'no'": "no", '"1"': "1",
    "!!str 1": "1", "!!int 0x10": 16, "!!float 1": 1.0, "!!bool true": True, "!!null ~": None,
}  # fmt: skip


@pytest.mark.parametrize("written", SCALARS)
def test_a_scalar_is_what_the_core_schema_says(written: str) -> None:
    value = read_yaml(f"a: {written}\n", "f").content["a"]
    assert (value, type(value)) == (SCALARS[written], type(SCALARS[written]))


def test_not_a_number() -> None:
    assert str(read_yaml("[.nan, .NaN]", "f").content) == "[nan, nan]"


def test_collections_and_keys() -> None:
    text = "no: [1, {true: ~}]\n1: {}\n!!str x: !!seq [!!map {}]\n? y\n: z\n"
    assert read_yaml(text, "f").content == {"no": [1, {"true": None}], "1": {}, "x": [{}], "y": "z"}
    assert read_yaml("", "f").content is None
    assert read_yaml("# nothing\n", "f").content is None
    assert read_yaml("--- a\n...\n", "f").content == "a"


def test_where_values_stand() -> None:
    document = read_yaml("# head\na:\n  - x\n  - {b: 1,\n     b: 2}\n", "f")
    lines = {where: written.line for where, written in document.written.items()}
    assert lines == {(): 2, ("a",): 2, ("a", "0"): 3, ("a", "1"): 4, ("a", "1", "b"): 5}
    assert document.twice == [(("a", "1", "b"), 5)]


REFUSED = {
    "!!int ''": "'' is no value of the tag '!!int'",
    "!!float _": "'_' is no value of the tag '!!float'",
    "!!bool maybe": "'maybe' is no value of the tag '!!bool'",
    "!!bool yes": "'yes' is no value of the tag '!!bool'",
    "!!null x": "'x' is no value of the tag '!!null'",
    "!!timestamp foo": "the tag '!!timestamp' is not read here; remove it",
    "!!binary x": "the tag '!!binary' is not read here",
    "!!set {a, b}": "the tag '!!set' is not read here",
    "!!omap [a: 1]": "the tag '!!omap' is not read here",
    "!!pairs [a: 1]": "the tag '!!pairs' is not read here",
    "!!map []": "the tag '!!map' is not read here",
    "!!seq x": "the tag '!!seq' is not read here",
    "!mine x": "the tag '!mine' is not read here",
    "!!python/object/apply:os.getcwd []": "the tag '!!python/object/apply:os.getcwd' is not read here",
    "{!!int x: 1, !!set y: 2}": "the tag '!!set' is not read here",
    "0x" + "f" * 4300: "'0xfff.*… .4,302 characters.' is too long for a number",
    "9" * 5000: "is too long for a number; put text in quotes",
    "1." + "0" * 5000: "is too long for a number",
    "&x [*x]": r"the alias \*x is not read; write the value out",
    "*" + "x" * 5000: r"the alias \*xxx.*… .5,000 characters. is not read",
    "{[a]: 1}": "has a list, a mapping or an alias for a key; write a word",
    "b\n---\nc: d": "a second document begins here; keep one",
    "[": "is not YAML: ",
    '"\x07"': "is not YAML: control characters are not allowed; remove the character",
    "%": "is not YAML: ",
}


@pytest.mark.parametrize("written", REFUSED, ids=lambda text: text[:20].strip())
def test_what_is_not_of_the_schema_is_refused_with_its_line(written: str) -> None:
    with pytest.raises(UserError, match=rf"^f:[234]: .*{REFUSED[written]}") as caught:
        read_yaml(f"# é\na: {written}\n", "f")
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{b: "])
def test_depth_is_refused_at_once(opening: str) -> None:
    before = time.process_time()
    with pytest.raises(UserError, match=rf"f:1: is nested more than {MAX_DEPTH} levels deep; write it flatter|word"):
        read_yaml(opening * 100_000, "f")
    assert time.process_time() - before < 2


def test_the_deepest_that_is_read() -> None:
    read_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f")
    with pytest.raises(UserError, match="nested"):
        read_yaml("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), "f")


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


def test_aliases_that_multiply_are_refused_in_foreign_files_too() -> None:
    with pytest.raises(UserError, match=r"f:2: the alias \*a0 is not read"):
        read_yaml(BOMB, "f")
    with pytest.raises(UserError, match=r"f:\d: has more than 2,000,000 values"):
        read_yaml(BOMB, "f", foreign=True)
    with pytest.raises(UserError, match=r"the alias \*a has no value before it"):
        read_yaml("a: &a [*a]", "f", foreign=True)


def test_foreign_files_are_read_as_pyyaml_reads_them() -> None:
    text = """
base: &base {x: 1, y: [2]}
own: {<<: *base, x: 3}
both: {<<: [{x: 5}, *base], z: !mine 6}
again: *base
"""
    expected = yaml.safe_load(text.replace("!mine ", ""))
    assert read_yaml(text, "f", foreign=True).content == expected
    assert read_yaml("a: {<<: 1}", "f", foreign=True).content == {"a": {"<<": 1}}


VALUES = ["no", "1e5", "2e-5", "0o17", "1:30", "017", "0x1", "~", "null", "", "on", "2026-01-02", ".inf", "=", "<<",
          "- a", "ü",          None, True, 0, -3, 1.5, 1e-5, 1e22, [], {}, ["a", {"no": None}]]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_is_written_is_read_again_by_both_schemas(value: Any) -> None:
    text = write_yaml({"a": value}, allow_unicode=True)
    assert read_yaml(text, "f").content == {"a": value}
    assert yaml.safe_load(text) == {"a": value}
