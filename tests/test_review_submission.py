"""Review of pull requests in CI. Truth: the demo board without one of its rows, which the pull request adds."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests.small import forge
from tests.test_submit import DEMO, RECIPE, copy

ROOT = Path(__file__).parents[1]
WORKFLOWS = ROOT / ".github" / "workflows"
PLACE = Path("leaderboard", "results", DEMO.id, "xrealign-mini")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("review_submission", ROOT / "scripts" / "review_submission.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def submitted(tmp_path: Path) -> Path:
    """Make a published repository without the recipe, and the files of a pull request with it."""
    for side, names in (("published", ["finetune-only"]), ("submitted", ["finetune-only", RECIPE])):
        for name in names:
            (tmp_path / side / "submissions").mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "submissions" / f"{name}.yaml", tmp_path / side / "submissions")
            copy(name, tmp_path / side / PLACE)
    return tmp_path / "submitted"


def review(
    submitted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int
) -> list[str]:
    published = submitted.with_name("published")
    monkeypatch.setattr("sys.argv", ["review", str(submitted), "--published", str(published)])
    ended = 0
    try:
        script().main()
    except SystemExit as end:
        ended = int(str(end.code))
    assert ended == status
    return capsys.readouterr().out.splitlines()


def test_old_and_new_rows_stand_side_by_side(
    submitted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = review(submitted, monkeypatch, capsys, status=0)
    assert lines[0] == f"## Checked: {RECIPE}" and lines[2].startswith(f"### {DEMO.id}, xrealign-mini ")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    with (ROOT / "leaderboard" / DEMO.id / "leaderboard.json").open() as file:
        shown = {row["recipe"]: row for row in json.load(file)["rows"] if row["rank_low"] is not None}
    front, plain = (shown[name] for name in (RECIPE, "finetune-only"))
    new, old = (f"{row['xr']['mean']:.1f} ±{row['xr']['std']:.1f}" for row in (front, plain))
    gain = front["gain_xr"]
    # Two rows need one test, which is that of the gain.
    ranks = ("1", "2") if gain["low"] > 0 else ("1–2", "1–2")
    assert rows[1:] == [
        [RECIPE, "–", ranks[0], "–", new, "–", f"{gain['mean']:+.1f} [{gain['low']:+.1f}, {gain['high']:+.1f}]"],
        ["finetune-only", "1", ranks[1], old, old, "baseline", "baseline"],
    ]


def test_what_is_wrong_is_told_and_nothing_else(
    submitted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forge(submitted / PLACE / RECIPE / "result.json", lambda content: content.update(seeds=[31]))
    (submitted / PLACE / RECIPE / "run.sh").write_text("touch ran")
    (submitted / "submissions" / "run.sh").symlink_to("/etc/passwd")
    (submitted / "leaderboard" / "results" / "stray.json").write_text("{}")
    shutil.copytree(submitted / PLACE / RECIPE, submitted / PLACE / "*")
    lines = review(submitted, monkeypatch, capsys, status=2)
    assert lines[0] == "## The submission can't be accepted yet" and not any("|" in line for line in lines)
    assert all(line.startswith("    ") for line in lines[2:])  # text, whatever it holds
    for said in (
        "leaderboard/results/stray.json: does not belong there",
        "submissions/*.yaml: can't be read",
        "submissions/run.sh: does not belong there",
        f"results/{DEMO.id}/xrealign-mini/{RECIPE}: its seeds are 31, those of {DEMO.id}",
        f"results/{DEMO.id}/xrealign-mini/{RECIPE}/run.sh: is not in manifest.json, so it is not part of the result",
    ):
        assert any(said in line for line in lines), said


def test_a_linked_folder_is_not_followed(
    submitted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(submitted / "submissions")
    (submitted / "submissions").symlink_to("/etc")
    assert review(submitted, monkeypatch, capsys, status=2)[2:] == [
        "    submissions: is a symbolic link. Replace it by the file or folder that it points to"
    ]


def test_nothing_of_a_pull_request_reaches_a_shell_and_no_token_can_write_but_comments() -> None:
    writes = {}
    for path in WORKFLOWS.iterdir():
        assert "pull_request_target" not in path.read_text()
        workflow = yaml.safe_load(path.read_text())
        jobs = workflow["jobs"].values()
        allowed = [workflow["permissions"], *(job.get("permissions", {}) for job in jobs)]
        assert all(isinstance(each, dict) for each in allowed)  # never write-all
        rights = {name for each in allowed for name, right in each.items() if right == "write"}
        writes |= {path.name: rights} if rights else {}
        assert all(job.get("uses", "./").startswith("./") for job in jobs)
        for step in (step for job in jobs for step in job.get("steps", ())):
            # Values of a matrix are written in the workflow itself.
            assert "${{" not in re.sub(r"\$\{\{ matrix\.\w+ \}\}", "", step.get("run", ""))
            if "uses" in step:
                owner, _, commit = step["uses"].partition("@")
                assert owner.startswith("actions/") and len(commit) == 40
                assert owner != "actions/checkout" or step["with"]["persist-credentials"] is False
    assert writes == {"release.yml": {"contents"}, "submission-comment.yml": {"pull-requests"}}
    # YAML reads the key `on` as true. A release follows a tag, which only those who can write push.
    assert yaml.safe_load((WORKFLOWS / "release.yml").read_text())[True] == {"push": {"tags": ["v[0-9]*"]}}
    privileged = (WORKFLOWS / "submission-comment.yml").read_text()
    assert "checkout" not in privileged and "python" not in privileged


@pytest.mark.parametrize("number", ["7", ""])
def test_the_comment_is_plain_text_whatever_the_artifact_holds(tmp_path: Path, number: str) -> None:
    """Run the step in the runner's shell, with a fake `gh` that records its arguments."""
    workflow = yaml.safe_load((WORKFLOWS / "submission-comment.yml").read_text())
    run = workflow["jobs"]["comment"]["steps"][-1]["run"]
    (tmp_path / "review").mkdir()
    text = (
        "| a | b |\n\n```\n</code>@someone [x](https://evil)\r<img src=x>\n$(touch ran) `touch ran`\n" + "\n" * 60_000
    )
    (tmp_path / "review" / "review.md").write_bytes(text.encode() + b"\xff\x00\n")
    gh = tmp_path / "bin" / "gh"
    gh.parent.mkdir()
    gh.write_text(f'#!/bin/sh\nif [ "$1" = api ]; then echo "{number}"; else echo "$@" > called; fi\n')
    gh.chmod(0o755)
    environment = {"PATH": f"{gh.parent}:{os.environ['PATH']}", "GH_REPO": "o/r", "HEAD": "abc", "RUN": "https://run"}
    subprocess.run(["bash", "-eo", "pipefail", "-c", run], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert not (tmp_path / "ran").exists()
    if not number:
        assert not (tmp_path / "called").exists()
        return
    assert (tmp_path / "called").read_text().startswith("pr comment 7 --body-file comment.md")
    comment = (tmp_path / "comment.md").read_bytes()
    head, blank, *lines = comment.decode().split("\n")
    assert head == "Review of the submission at abc ([tables](https://run)):" and blank == ""
    assert all(line.startswith("    ") for line in lines[:-1]) and b"\r" not in comment and len(comment) < 65_000
    assert lines[3] == "    </code>@someone [x](https://evil)<img src=x>"
