"""Truth: a PNG of the promised size, with something drawn, for full, partial and empty input."""

import struct
import sys
from pathlib import Path

import pytest

from tests.leaderboard.test_table import BASELINE, comparison_of, entry
from tests.scoring.builder import LANGUAGES, flat, make_result, make_suite
from xrealign_bench.leaderboard.chart import draw_chart
from xrealign_bench.results.schema import Comparison, Gain, Result


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


@pytest.mark.parametrize("case", ["full", "partial", "baseline alone"])
def test_a_picture_of_1400_by_600(tmp_path: Path, case: str) -> None:
    results: list[Result] = [BASELINE.result]
    comparisons: list[Comparison | None] = [None]
    if case == "full":
        for number in range(9):
            each = entry(f"recipe-{number}", 0.01 * number, 0.0, 0.02 * number)
            results.append(each.result)
            comparisons.append(each.comparison)
    elif case == "partial":
        result, comparison = _partial()
        results.append(result)
        comparisons.append(comparison)
    path = draw_chart(results, comparisons, tmp_path / "new" / "chart.png")
    assert _size(path) == (1400, 600)
    first = path.read_bytes()
    assert draw_chart(results, comparisons, path).read_bytes() == first


def test_no_global_state_of_pyplot_is_touched(tmp_path: Path) -> None:
    draw_chart([BASELINE.result], [None], tmp_path / "chart.png")
    assert "matplotlib.pyplot" not in sys.modules
