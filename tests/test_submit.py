"""Submissions. Truth: the shipped results of the demo suite, and what is spoilt in them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.small import command
from xrealign_bench.specs import Recipe, Suite, find_spec
from xrealign_bench.specs.yaml import shipped_folder

ROOT = Path(__file__).parents[1]
DEMO = find_spec("demo", Suite)
SHIPPED = ROOT / "leaderboard" / "results" / DEMO.id / "xrealign-mini"
RECIPE, BASELINE = "alignfreeze-front", "finetune-only"
FILE = shipped_folder(Recipe) / f"{RECIPE}.yaml"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The recipe's results, its baseline's, and those of another recipe."""
    place = tmp_path / "results" / DEMO.id / "xrealign-mini"
    for name in (RECIPE, BASELINE, "alignfreeze-full"):
        shutil.copytree(SHIPPED / name, place / name, ignore=shutil.ignore_patterns("history.json"))
    return tmp_path / "results"


def submit(results: Path, file: Path = FILE) -> Any:
    return command("submit", file, "--results", results, "--output", results.parent / "out")


def change(path: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_a_result_on_fresh_seeds_is_left_out_and_named(results: Path) -> None:
    """The shipped ones of full realignment: the rest is submitted as if they were not there."""
    recipe, fresh = "alignfreeze-full", "alignfreeze-full--seed1001-1002-1003-1004-1005"
    shutil.copytree(SHIPPED / fresh, results / DEMO.id / "xrealign-mini" / fresh)
    ran = submit(results, FILE.with_name(f"{recipe}.yaml"))
    assert ran.status == 0, ran.err
    assert f"{fresh}: is on fresh seeds and not submitted" in ran.err
    written = results.parent / "out" / "leaderboard" / "results" / DEMO.id / "xrealign-mini"
    assert sorted(path.name for path in written.iterdir()) == [recipe, BASELINE]


def test_what_is_good_is_laid_out_as_the_repository_is(results: Path) -> None:
    ran = submit(results)
    assert ran.status == 0, ran.err
    out = results.parent / "out"
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    place = f"leaderboard/results/{DEMO.id}/xrealign-mini"
    assert f"submissions/{RECIPE}.yaml" in files and f"{place}/{RECIPE}/result.json" in files
    assert f"{place}/{BASELINE}/predictions-cldr-phrases.parquet" in files
    assert not any("alignfreeze-full" in file for file in files)
    assert (out / "submissions" / f"{RECIPE}.yaml").read_bytes() == FILE.read_bytes()
    assert "predictions on cldr-phrases: its data are under Unicode-3.0" in ran.err
    built = command("leaderboard", "build", out / "leaderboard" / "results")
    assert built.status == 0, built.err
    again = submit(results)
    assert again.status == 2 and "is not empty; name another folder with --output" in again.err


def test_everything_that_is_wrong_is_told_at_once(results: Path, tmp_path: Path) -> None:
    place = results / DEMO.id / "xrealign-mini"

    def worse(content: Any) -> None:
        content["scores"] = [score for score in content["scores"] if score["seed"] != 66]
        content["scores"][5]["metrics"]["accuracy"] += 0.01

    change(place / RECIPE / "result.json", worse)
    mine = yaml.safe_load(FILE.read_text())
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(mine | {"objective": mine["objective"] | {"temperature": 0.2}, "citation": ""}))
    ran = submit(results, file)
    assert ran.status == 2
    for said in (
        f"{file}: its name is '{RECIPE}'; call the file {RECIPE}.yaml",
        f"{file}: names no citation",
        f"{file}: the name '{RECIPE}' is another recipe's already",
        "was computed by another version of the recipe",
        "seeds not evaluated: 66",
        "has predictions and no score in result.json",
    ):
        assert said in ran.err, said
    assert not (results.parent / "out").exists()


def test_a_comparison_that_the_predictions_do_not_give_is_told(results: Path) -> None:
    path = results / DEMO.id / "xrealign-mini" / RECIPE / "comparison.json"
    change(path, lambda content: content["gains"]["xr"].update(mean=0.2))
    ran = submit(results)
    assert ran.status == 2 and "comparison.json: is not what the predictions give; evaluate again" in ran.err


def test_a_missing_baseline_is_told(results: Path) -> None:
    shutil.rmtree(results / DEMO.id / "xrealign-mini" / BASELINE)
    ran = submit(results)
    assert ran.status == 2 and "no comparison.json with a finetune-only result that is there" in ran.err


def test_another_suite_of_the_same_name_is_told(results: Path) -> None:
    path = results / DEMO.id / "xrealign-mini" / RECIPE / "result.json"
    change(path, lambda content: content["suite"]["finetuning"].update(steps=7))
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
    """As much of the Hub as a pull request with files needs; notes what it is sent."""

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
def hub() -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def push(results: Path, repo: str, port: int) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the Hub's address is read when the library is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{port}", "HF_TOKEN": "hf_test", "HF_HOME": str(results.parent)}
    words = ["submit", str(FILE), "--results", str(results), "--output", str(results.parent / repo.replace("/", "-"))]
    program = "from xrealign_bench.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *words, "--push", repo],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_a_pull_request_is_opened_with_every_file(results: Path, hub: Hub) -> None:
    done = push(results, "org/board", hub.server_port)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"http://127.0.0.1:{hub.server_port}/datasets/org/board/discussions/7"
    path, sent = next(seen for seen in hub.seen if "/commit/" in seen[0])
    assert "create_pr=1" in path
    lines = [json.loads(line) for line in sent.splitlines()]
    assert lines[0]["value"]["summary"].startswith(f"Submit {RECIPE}: ")
    files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines[1:]}
    out = results.parent / "org-board"
    assert files == {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_a_hub_that_refuses_is_told(results: Path, hub: Hub) -> None:
    done = push(results, "org/nonesuch", hub.server_port)
    assert done.returncode == 2 and "org/nonesuch: the Hub has no such data set, or none for you" in done.stderr
    assert "Traceback" not in done.stderr
