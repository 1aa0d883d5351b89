"""Folders as people have them: links, missing and foreign files."""

import pytest

from tests.data.hub_folder import make_task, row, write_rows
from xrealign_bench.data import locate_task
from xrealign_bench.data.hub import open_data_set
from xrealign_bench.data.located import DataLocation
from xrealign_bench.data.read import read_rows
from xrealign_bench.data.sources import list_configs, locate
from xrealign_bench.errors import UserError
from xrealign_bench.specs import FilesData, HubData
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
    with pytest.raises(UserError, match=r"unknown split of .*: 'development'.* known: dev, test, train, validation"):
        write_rows(root, "en_x", "validation", [row("cats sleep", [0, 2])])
        locate(HubData(dataset="org/tags"), "en_x", "development", DataLocation(root))


def write_text(root, name, text):
    file = root / "org/tags" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_files_of_other_formats_are_named_by_patterns(root):
    """As data sets whose `main` has TSV or JSON, one folder per config."""
    for config in ("en", "xh"):
        write_text(root, f"data/{config}/part-1.tsv", f"text\tlabel\n{config} one\t1\n")
        write_text(root, f"data/{config}/part-2.tsv", f"text\tlabel\n{config} two\t0\n")
    source = HubData(dataset="org/tags", test="data/{config}/*.tsv", validation="data/{config}/dev.tsv")
    located = locate(source, ["zu", "xh"], "test", DataLocation(root))
    assert located.config == "xh"
    assert read_rows(located, ["text", "label"], True).columns == {"text": ["xh one", "xh two"], "label": [1, 0]}
    assert list_configs(source, "test", DataLocation(root)) == {"en", "xh"}
    with pytest.raises(UserError, match=r"org/tags: has no file data/zu/\*\.tsv; correct 'source\.test' or the config"):
        locate(source, "zu", "test", DataLocation(root))
    with pytest.raises(UserError, match=r"unknown split of .*: 'train'.* known: test, validation"):
        locate(source, "xh", "train", DataLocation(root))


def test_a_file_whose_suffix_says_nothing(root):
    write_text(root, "words", "a X\n")
    source = HubData(dataset="org/tags", test="words")
    with pytest.raises(UserError, match=r"words: its suffix is that of no known format; set 'format' in the source"):
        read_rows(locate(source, None, "test", DataLocation(root)), ["0"], True)
    columns = source.model_copy(update={"format": "conll"})
    assert read_rows(locate(columns, None, "test", DataLocation(root)), ["0"], True).columns == {"0": [["a"]]}


def test_parquet_at_a_path_of_ones_own(root, tmp_path):
    fields = {"kind": "files", "test": "data/org/tags/{config}/test-*.parquet"}
    source = FilesData.model_validate(fields, context={"folder": tmp_path})
    assert read_rows(locate(source, "en_x", "test", DataLocation()), ["tokens"], True).columns == {
        "tokens": [["birds", "sing"]]
    }


def test_own_files_that_change_while_they_are_read_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("a\n")
    source = FilesData.model_validate({"kind": "files", "test": "./a.txt"}, context={"folder": tmp_path})
    located = locate(source, "en", "test", DataLocation())
    (tmp_path / "a.txt").write_text("b\n")
    with pytest.raises(UserError, match=r"a\.txt: its files changed while they were read; run the command again"):
        read_rows(located, ["text"], True)
