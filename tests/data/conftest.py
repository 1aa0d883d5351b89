"""A small data set in the layout of the Hub, and a cache of its own for `datasets`."""

from pathlib import Path

import datasets
import pytest

from tests.data.hub_folder import row, write_rows


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets-cache"))


@pytest.fixture
def root(tmp_path) -> Path:
    """A data root with two languages; English has an empty sentence."""
    folder = tmp_path / "data"
    write_rows(folder, "en_x", "train", [row("dogs bark", [0, 2]), row("", []), row("cats , sleep", [0, 1, 2])])
    write_rows(folder, "en_x", "test", [row("birds sing", [0, 2])])
    write_rows(folder, "de_y", "test", [row("Hunde bellen", [0, 2]), row("Katzen", [0])])
    return folder
