"""A small data set in the layout of the Hub."""

from pathlib import Path

import pytest

from tests.data.hub_folder import row, write_rows


@pytest.fixture
def root(tmp_path) -> Path:
    """A data root with two languages; English has an empty sentence."""
    folder = tmp_path / "data"
    write_rows(folder, "en_x", "train", [row("dogs bark", [0, 2]), row("", []), row("cats , sleep", [0, 1, 2])])
    write_rows(folder, "en_x", "test", [row("birds sing", [0, 2])])
    write_rows(folder, "de_y", "test", [row("Hunde bellen", [0, 2]), row("Katzen", [0])])
    return folder
