"""Truth: a PNG of the promised size for full and partial input, and panels for what there is."""

import os
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from tests.leaderboard.test_board import BASELINE, comparison_of, entry
from tests.scoring.builder import LANGUAGES, flat, make_result, make_suite
from xrealign_bench.leaderboard.chart import draw_chart, draw_languages
from xrealign_bench.results.comparison import Comparison, Gain
from xrealign_bench.results.result import Result


def _size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def _partial() -> tuple[Result, Comparison]:
    result = make_result(flat({"en": 0.9, "de": 0.8}), suite=make_suite(), languages=LANGUAGES[:1], recipe="full")
    whole = comparison_of(result, BASELINE.result, 0.1, 0.2)
    none = {name: Gain(mean=None, low=None, high=None, languages=4, reason="x") for name in whole.gains}
    task = whole.tasks[0].model_copy(update={"languages": whole.tasks[0].languages[:1]})
    return result, whole.model_copy(update={"gains": none, "tasks": [task]})


def _drawn(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The tick labels of the left axis of each panel, and the panels' titles, of the next picture."""
    panels: list[list[str]] = []
    real = Figure.savefig

    def save(figure: Figure, *args: Any, **kwargs: Any) -> None:
        for axes in figure.axes:
            ticks = [label.get_text() for label in axes.get_xticklabels()]
            panels.append([axes.get_title(loc="left"), *(ticks if "tier" in axes.get_title(loc="left") else [])])
        real(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", save)
    return panels


def _with_means(*groups: str) -> Comparison:
    comparison = entry("full", 0.1, 0.0, 0.2).comparison
    assert comparison is not None
    none = Gain(mean=None, low=None, high=None, languages=1, reason="x")
    gains = {name: gain.model_copy(update={"languages": 1}) for name, gain in comparison.gains.items()}
    gains = {name: gain if name in groups else none for name, gain in gains.items()}
    del gains["medium"]
    return comparison.model_copy(update={"gains": gains})


BY_TIER = "By tier (Joshi et al., 2020), mean of languages, 95 % interval"


def test_a_tier_without_a_mean_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panels = _drawn(monkeypatch)
    draw_chart(
        [BASELINE.result, entry("full", 0.1, 0.0, 0.2).result],
        [None, _with_means("high")],
        tmp_path / "chart.png",
    )
    assert panels == [[BY_TIER, "high\n(1 language)"], ["By language: full"]]


def test_a_panel_without_anything_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    panels = _drawn(monkeypatch)
    result, comparison = _partial()
    # Without means, the recipe with the best languages is drawn.
    worse = comparison.model_copy(
        update={
            "tasks": [
                comparison.tasks[0].model_copy(
                    update={"languages": [comparison.tasks[0].languages[0].model_copy(update={"gain": -0.5})]}
                )
            ]
        }
    )
    other = result.model_copy(update={"recipe": result.recipe.model_copy(update={"name": "worse"})})
    draw_chart([BASELINE.result, other, result], [None, worse, comparison], tmp_path / "chart.png")
    assert panels == [["By language: full"]]
    panels.clear()
    placeless = [language.model_copy(update={"distance": None}) for language in BASELINE.result.languages]
    full = entry("full", 0.1, 0.0, 0.2)
    result = full.result.model_copy(update={"languages": placeless})
    draw_chart([BASELINE.result, result], [None, full.comparison], tmp_path / "chart.png")
    assert [panel[0] for panel in panels] == [BY_TIER]


def test_the_baseline_alone_has_no_picture(tmp_path: Path) -> None:
    assert draw_chart([BASELINE.result], [None], tmp_path / "new" / "chart.png") is None
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_can_not_be_finished_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = entry("full", 0.1, 0.0, 0.2)
    path = tmp_path / "chart.png"
    path.write_text("old")

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        draw_chart([BASELINE.result, full.result], [None, full.comparison], path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("case", ["full", "partial"])
def test_a_picture_of_1400_by_600(tmp_path: Path, case: str) -> None:
    results: list[Result] = [BASELINE.result]
    comparisons: list[Comparison | None] = [None]
    if case == "full":
        for number in range(9):
            each = entry(f"recipe-{number}", 0.01 * number, 0.0, 0.02 * number)
            results.append(each.result)
            comparisons.append(each.comparison)
    else:
        result, comparison = _partial()
        results.append(result)
        comparisons.append(comparison)
    path = tmp_path / "new" / "chart.png"
    assert draw_chart(results, comparisons, path) == path
    assert _size(path) == (1400, 600)
    first = path.read_bytes()
    draw_chart(results, comparisons, path)
    assert path.read_bytes() == first


def test_no_global_state_of_pyplot_is_touched(tmp_path: Path) -> None:
    full = entry("full", 0.1, 0.0, 0.2)
    draw_chart([BASELINE.result, full.result], [None, full.comparison], tmp_path / "chart.png")
    assert "matplotlib.pyplot" not in sys.modules


def test_codes_do_not_lie_over_one_another() -> None:
    """Of three points in one place the first code stands; the others lie further apart than a code is wide."""
    axes = Figure(figsize=(5, 4)).add_subplot()
    points = [(0.5, 1.0, "low", code) for code in ("aa", "bb", "cc")]
    points += [(0.1, -3.0, "low", "dd"), (0.9, 7.0, "high", "ee")]
    draw_languages(axes, BASELINE.result, points)
    codes = [text.get_text() for text in axes.texts]
    assert sorted(codes) == ["aa", "dd", "ee"]
