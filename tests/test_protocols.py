"""The papers' protocols. Truth: the shipped suites themselves, and the page that is made from the same facts."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from tests.small import command
from xrealign_bench.protocols import find_protocol, protocol_names
from xrealign_bench.specs import Suite, find_spec

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", protocol_names())
def test_a_protocol_is_about_the_newest_suite_of_its_name(name: str) -> None:
    protocol, suite = find_protocol(name), find_spec(name, Suite)
    assert (protocol.suite, protocol.version) == (suite.name, suite.version)
    assert all(point.size for point in protocol.differences), "a difference without its size"
    assert not any(point.size for point in protocol.points if not point.differs)
    assert (protocol.relation == "reproduces") == (not protocol.differences)


def test_the_page_is_made_from_the_protocols() -> None:
    made = runpy.run_path(str(ROOT / "scripts/write_protocols.py"))["page"]()
    assert (ROOT / "docs/protocols.md").read_text(encoding="utf-8") == made


@pytest.mark.parametrize("name", protocol_names())
def test_the_readme_counts_right(name: str) -> None:
    points = find_protocol(name).points
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    counted = f"[{sum(not point.differs for point in points)} of {len(points)} points as its code ran]"
    assert re.search(rf"`{name}` follows [\w ]+ \(({re.escape(counted)})", text)


def test_alignfreeze_runs_what_its_protocol_says() -> None:
    suite = find_spec("alignfreeze", Suite)
    xlmr = {task: suite.finetuning_for(task).for_model_type("xlm-roberta") for task in suite.tasks}
    # The steps of the published runs: alignfreeze_results, column finetuning_steps.
    assert [xlmr[task].steps for task in suite.tasks] == [1970, 3130, 24544, 20228]
    bert = [suite.finetuning_for(task).for_model_type("bert").steps for task in suite.tasks]
    assert bert == [1965, 3130, 24544, 18010]
    assert [xlmr[task].length("test") for task in suite.tasks] == [128, 128, 256, 384]
    assert {xlmr[task].length("train") for task in suite.tasks} == {96}
    assert (suite.head, suite.lone_word_markers, suite.long_sentences) == ("transformers", "delete", "windows")


def test_lowresource_runs_what_its_protocol_says() -> None:
    suite = find_spec("lowresource", Suite)
    for model, questions in (("xlm-roberta", 50570), ("bert", 45025)):
        steps = [suite.finetuning_for(task).for_model_type(model).steps for task in suite.tasks]
        assert steps == [3405, 3125, 24544, questions]
    assert suite.realignment_steps == 24544
    assert (suite.head, suite.lone_word_markers, suite.long_sentences) == ("transformers", "delete", "truncate")


def test_show_prints_what_differs() -> None:
    ran = command("show", "suite", "alignfreeze", "--protocol")
    protocol = find_protocol("alignfreeze")
    assert ran.status == 0
    assert ran.out.splitlines()[0].startswith("alignfreeze-2.0 follows Bakos et al.")
    assert [point.topic for point in protocol.points if f"\n{point.topic}\n" in ran.out] == [
        point.topic for point in protocol.differences
    ]
    as_json = json.loads(command("show", "suite", "alignfreeze", "--protocol", "--json").out)
    assert len(as_json["points"]) == len(protocol.points)


MISTAKES = {
    ("suite", "demo"): "suite 'demo': follows no paper, so there is no protocol to compare; alignfreeze, "
    "lowresource do",
    ("suite", "alignfreeze-1.0"): "suite alignfreeze-1.0: was compared with the paper in version 2.0; show that one",
    ("recipe", "finetune-only"): "--protocol: is about a suite, and finetune-only is a recipe; leave it out",
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.items(), ids=[" ".join(each) for each in MISTAKES])
def test_what_has_no_protocol_is_told(arguments: tuple[str, str], message: str) -> None:
    ran = command("show", *arguments, "--protocol")
    assert (ran.status, ran.err) == (2, f"error: {message}\n")
