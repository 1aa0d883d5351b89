"""Submissions. Truth: the shipped results of the demo suite, and changes to them."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import constants

from tests.small import command, forge
from xrealign_bench.errors import UserError
from xrealign_bench.files import sha256_file
from xrealign_bench.results.manifest import check_folder, seal
from xrealign_bench.results.rescoring import rescore
from xrealign_bench.specs import Recipe, Suite, find_spec
from xrealign_bench.specs.yaml import shipped_folder
from xrealign_bench.submit import checks
from xrealign_bench.submit.packaging import open_pull_request, write_submission

ROOT = Path(__file__).parents[1]
DEMO = find_spec("demo", Suite)
SHIPPED = ROOT / "leaderboard" / "results" / DEMO.id / "xrealign-mini"
RECIPE, BASELINE = "alignfreeze-front", "finetune-only"
FILE = shipped_folder(Recipe) / f"{RECIPE}.yaml"


RESCORED: dict[tuple[tuple[str, str], ...], int] = {}
"""Names and digests of a result's files -> number of rescored scores."""


@pytest.fixture(autouse=True)
def rescored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache rescoring by content, since most tests use the same files."""

    def remembered(folder: Path) -> int:
        check_folder(folder)
        files = tuple(
            (path.name, sha256_file(path)) for path in sorted(folder.iterdir()) if path.name[:2] in ("re", "pr")
        )
        if files not in RESCORED:
            RESCORED[files] = rescore(folder)
        return RESCORED[files]

    monkeypatch.setattr(checks, "rescore", remembered)


def copy(name: str, place: Path) -> Path:
    """A shipped result of the demo suite, without its history, which belongs to the board."""
    shutil.copytree(SHIPPED / name, place / name, ignore=shutil.ignore_patterns("history.json"))
    seal(place / name)
    return place / name


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The recipe's results and its baseline's."""
    for name in (RECIPE, BASELINE):
        copy(name, tmp_path / "results" / DEMO.id / "xrealign-mini")
    return tmp_path / "results"


def submit(results: Path, file: Path = FILE, *more: object) -> Any:
    """Submit without a board, although these tests run in a folder with one."""
    nowhere = results.parent / "no-board"
    return command("submit", file, "--results", results, "--output", results.parent / "out", "--board", nowhere, *more)


def test_what_is_good_is_laid_out_as_the_repository_is(tmp_path: Path) -> None:
    """A result on fresh seeds is left out and named; results of other recipes are ignored."""
    recipe, fresh = "alignfreeze-full", "alignfreeze-full--seed1001-1002-1003-1004-1005"
    for name in (recipe, BASELINE, fresh, RECIPE):
        copy(name, tmp_path / "results" / DEMO.id / "xrealign-mini")
    file, out = FILE.with_name(f"{recipe}.yaml"), tmp_path / "out"
    ran = submit(tmp_path / "results", file)
    assert ran.status == 0, ran.err
    assert f"{fresh}: is on fresh seeds and not submitted" in ran.err
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    place = f"leaderboard/results/{DEMO.id}/xrealign-mini"
    names = ("manifest.json", "predictions-cldr-phrases.parquet", "result.json")
    assert files == {
        f"submissions/{recipe}.yaml",
        f"{place}/{recipe}/comparison.json",
        *(f"{place}/{folder}/{name}" for folder in (recipe, BASELINE) for name in names),
    }
    assert (out / "submissions" / f"{recipe}.yaml").read_bytes() == file.read_bytes()
    assert "predictions on cldr-phrases: its data are under Unicode-3.0" in ran.err
    built = command("leaderboard", "build", out / "leaderboard" / "results")
    assert built.status == 0, built.err


def test_everything_that_is_wrong_is_told_at_once(results: Path, tmp_path: Path) -> None:
    place = results / DEMO.id / "xrealign-mini"

    def worse(content: Any) -> None:
        content["scores"] = [score for score in content["scores"] if score["seed"] != 66]
        content["scores"][5]["metrics"]["accuracy"] += 0.01

    forge(place / RECIPE / "result.json", worse)
    mine = yaml.safe_load(FILE.read_text())
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(mine | {"objective": mine["objective"] | {"temperature": 0.2}, "citation": ""}))
    ran = submit(results, file)
    assert ran.status == 2
    for said in (
        f"{file}:7: name: is '{RECIPE}', but the file is called mine.yaml; give both the same name",
        f"{file}: has no citation",
        f"{file}: the name '{RECIPE}' is taken by another recipe",
        "was computed by another version of the recipe",
        "seeds not evaluated: 66",
        "has predictions, but no score in result.json",
    ):
        assert said in ran.err, said
    assert not (results.parent / "out").exists()


def test_a_comparison_that_the_predictions_do_not_give_is_told(results: Path) -> None:
    path = results / DEMO.id / "xrealign-mini" / RECIPE / "comparison.json"
    forge(path, lambda content: content["gains"]["xr"].update(high=0.9))
    ran = submit(results)
    assert ran.status == 2 and "comparison.json: is not what the predictions give; evaluate again" in ran.err


def test_a_missing_baseline_is_told(results: Path) -> None:
    shutil.rmtree(results / DEMO.id / "xrealign-mini" / BASELINE)
    ran = submit(results)
    assert ran.status == 2 and "has no comparison.json with a finetune-only result next to it" in ran.err


def test_another_suite_of_the_same_name_is_told(results: Path) -> None:
    path = results / DEMO.id / "xrealign-mini" / RECIPE / "result.json"
    forge(path, lambda content: content["suite"]["finetuning"].update(steps=7))
    ran = submit(results)
    assert ran.status == 2 and f"its suite {DEMO.id} is not the one of this installation" in ran.err


def test_a_recipe_without_results_is_told(results: Path, tmp_path: Path) -> None:
    ran = submit(results, shipped_folder(Recipe) / "full-lora.yaml")
    assert ran.status == 2 and "no result of the recipe 'full-lora' in it or below; evaluate it first" in ran.err


def test_published_figures_are_none_of_ours(tmp_path: Path) -> None:
    place = tmp_path / "results" / "alignfreeze-1.0" / "google-bert--bert-base-multilingual-cased--published"
    shipped = ROOT / "leaderboard" / "results" / "alignfreeze-1.0" / place.name / BASELINE
    shutil.copytree(shipped, place / BASELINE)
    ran = submit(tmp_path / "results", shipped_folder(Recipe) / "finetune-only.yaml")
    assert ran.status == 2 and "its scores are reported ones; only what was computed can be submitted" in ran.err


class Hub(ThreadingHTTPServer):
    """A fake of the Hub API for pull requests that records its calls."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: list[tuple[str, bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, sent))
        if self.path.startswith("/api/datasets/org/board/preupload/main"):
            files = json.loads(sent)["files"]
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self.answer(200, {"files": modes})
        elif self.path.startswith("/api/datasets/org/board/commit/main"):
            address = f"http://127.0.0.1:{self.server.server_port}/datasets/org/board"
            urls = {"commitUrl": f"{address}/commit/1", "pullRequestUrl": f"{address}/discussions/7"}
            self.answer(200, {"success": True, "commitOid": "1" * 40, **urls})
        elif self.path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        else:
            self.answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})

    def answer(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield server
    server.shutdown()
    server.server_close()


def test_a_pull_request_is_opened_with_every_file(results: Path, hub: Hub) -> None:
    ran = submit(results, FILE, "--push", "org/board")
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[-1] == f"http://127.0.0.1:{hub.server_port}/datasets/org/board/discussions/7"
    path, sent = next(seen for seen in hub.seen if "/commit/" in seen[0])
    assert "create_pr=1" in path
    lines = [json.loads(line) for line in sent.splitlines()]
    assert lines[0]["value"]["summary"].startswith(f"Submit {RECIPE}: ")
    files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines[1:]}
    out = results.parent / "out"
    assert files == {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_a_hub_that_refuses_is_told(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "recipe.yaml").write_text("name: mine")
    with pytest.raises(UserError, match=r"^org/nonesuch: the Hub has no such data set, or none for you"):
        open_pull_request(tmp_path, "org/nonesuch", "Submit mine")
    assert hub.seen


def test_a_recipe_of_a_family_is_submitted_by_its_name_and_without_a_file(tmp_path: Path) -> None:
    name = "sentence-uniform-random-5"
    (tmp_path / "results").mkdir()
    ran = submit(tmp_path / "results", Path(name))
    assert (ran.status, ran.err.count("\n")) == (2, 1) and f"no result of the recipe '{name}'" in ran.err
    made = tmp_path / "results" / "suite-1.0" / "checkpoint" / name
    made.mkdir(parents=True)
    submission = checks.Submission(find_spec(name, Recipe), [made], {}, [])
    assert write_submission(submission, Path(name), tmp_path / "out") == [
        tmp_path / "out" / "leaderboard" / "results" / "suite-1.0" / "checkpoint" / name
    ]
    assert not (tmp_path / "out" / "submissions").exists()
