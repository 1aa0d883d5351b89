"""Folders as people have them: links, missing and foreign files."""

import pytest

from tests.data.hub_folder import make_task, row, write_rows
from xrealign_bench.data import locate_task
from xrealign_bench.data.hub import open_data_set
from xrealign_bench.data.located import DataLocation
from xrealign_bench.data.sources import locate
from xrealign_bench.errors import UserError
from xrealign_bench.specs import HubData
from xrealign_bench.tasks.token_classification.data import load as load_words


def words(root, language="en"):
    return load_words(make_task(), language, "test", DataLocation(root, offline=True)).words


def test_links_to_folders_and_files_are_followed(root, tmp_path):
    plain = locate_task(make_task(), "en", "test", DataLocation(root, offline=True))
    data = root / "org" / "tags"
    elsewhere = tmp_path / "elsewhere"
    (data / "en_x").rename(elsewhere)
    (data / "en_x").symlink_to(elsewhere, target_is_directory=True)
    blob = tmp_path / "blob"
    (elsewhere / "test-00000-of-00001.parquet").rename(blob)
    (elsewhere / "test-00000-of-00001.parquet").symlink_to(blob)
    assert words(root) == [["birds", "sing"]]
    assert locate_task(make_task(), "en", "test", DataLocation(root, offline=True)).fingerprint == plain.fingerprint


def test_links_in_a_circle_end(root):
    data = root / "org" / "tags"
    (data / "de_y" / "up").symlink_to(data, target_is_directory=True)
    (data / "en_x" / "other").symlink_to(data / "de_y", target_is_directory=True)
    (data / "de_y" / "one").symlink_to(data / "en_x", target_is_directory=True)
    assert words(root) == [["birds", "sing"]]
    layout = open_data_set(make_task().source, DataLocation(root, offline=True)).layout
    assert {"en_x", "de_y", "en_x/other", "de_y/one"} == set(layout)


def test_a_link_that_git_wrote_as_text_is_named(root):
    (root / "org/tags/de_x").write_text("../../../elsewhere/de")
    with pytest.raises(UserError, match=r"tags/de_x: is a file and not the folder of a config; if git wrote a link"):
        locate(HubData(dataset="org/tags"), "de_x", "test", DataLocation(root))


def test_a_link_to_nothing_is_named(root):
    file = root / "org/tags/en_x/test-00000-of-00001.parquet"
    file.unlink()
    file.symlink_to(root / "gone")
    with pytest.raises(UserError, match=r"No such file.*en_x/test-00000-of-00001\.parquet.*; fetch the data set again"):
        words(root)


def test_a_missing_file_and_an_older_set_are_refused_before_anything_is_read(root):
    folder = root / "org/tags/en_x"
    write_rows(root, "en_x", "test", [row("birds sing", [0, 2])]).rename(folder / "test-00000-of-00003.parquet")
    said = r"config 'en_x', split 'test': 1 of 3 files are there, without en_x/test-00001-of-00003\.parquet; fetch"
    with pytest.raises(UserError, match=said):
        locate_task(make_task(), "en", "test", DataLocation(root, offline=True))
    write_rows(root, "en_x", "test", [row("birds sing", [0, 2])])
    with pytest.raises(
        UserError, match=r"of-00001\.parquet and en_x/test-00000-of-00003\.parquet belong to different sets"
    ):
        locate_task(make_task(), "en", "test", DataLocation(root, offline=True))
    assert words(root, "de") == [["Hunde", "bellen"], ["Katzen"]]


def test_a_file_that_no_pattern_names_is_refused(root):
    card = root / "org/tags/README.md"
    card.write_text(
        "---\nconfigs:\n- config_name: en_x\n  data_files:\n  - split: test\n    path: en_x/test-*-of-*\n---\n"
    )
    assert words(root) == [["birds", "sing"]]  # en_x/train-... looks like another split's
    folder = root / "org/tags/en_x"
    for name in ("test-1.parquet", "part-2.parquet"):
        (folder / name).write_bytes((folder / "test-00000-of-00001.parquet").read_bytes())
        with pytest.raises(UserError, match=f"en_x/{name} is next to its files and may belong to them"):
            words(root)
        (folder / name).unlink()
    (folder / "._test-00000.parquet").touch()
    assert words(root) == [["birds", "sing"]]


def test_a_byte_order_mark_does_not_hide_a_card(root):
    card = "---\nconfigs:\n- config_name: en_x\n  data_files:\n  - split: test\n    path: de_y/test-*\n---\n"
    (root / "org/tags/README.md").write_text("\ufeff" + card, encoding="utf-8")
    assert words(root) == [["Hunde", "bellen"], ["Katzen"]]


def test_a_development_split_is_recorded_under_its_own_name(root):
    write_rows(root, "en_x", "dev", [row("cats sleep", [0, 2])])
    located = locate(HubData(dataset="org/tags"), "en_x", "validation", DataLocation(root))
    assert (located.split, located.files) == ("dev", ("en_x/dev-00000-of-00001.parquet",))
    with pytest.raises(UserError, match=r"unknown split of .*: 'development'.* Known: dev, test, train, validation"):
        write_rows(root, "en_x", "validation", [row("cats sleep", [0, 2])])
        locate(HubData(dataset="org/tags"), "en_x", "development", DataLocation(root))
