import os
import re

import pytest

from keras_attn.errors import InputError
from keras_attn.files import read_json, refuse_existing, write_text, written_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_folder(path, **texts):
    path.mkdir()
    for name, text in texts.items():
        (path / name).write_text(text)


def test_a_file_is_written(tmp_path):
    with written_whole(tmp_path / "model.keras") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "model.keras").read_text() == "new"
    assert names(tmp_path) == ["model.keras"]


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with written_whole(path) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["model.keras"]


def test_a_folder_is_replaced_with_all_that_was_in_it(tmp_path):
    path = tmp_path / "export"
    write_folder(path, graph="old", stale="old")
    with written_whole(path) as unfinished:
        write_folder(unfinished, graph="new")
    assert names(path) == ["graph"]
    assert (path / "graph").read_text() == "new"
    assert names(tmp_path) == ["export"]


def test_the_old_file_is_there_until_the_block_ends(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with written_whole(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"


def test_the_unfinished_path_keeps_the_ending_is_free_and_on_the_same_disk(tmp_path):
    with written_whole(tmp_path / "model.weights.h5") as unfinished:
        assert tmp_path in unfinished.parents
        assert unfinished.name.endswith(".weights.h5")
        assert not unfinished.exists()
        unfinished.touch()


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_block_leaves_the_old_file(tmp_path, interruption):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with pytest.raises(interruption), written_whole(path) as unfinished:
        unfinished.write_text("half")
        raise interruption
    assert path.read_text() == "old"
    assert names(tmp_path) == ["model.keras"]


def test_an_interrupted_block_leaves_the_old_folder(tmp_path):
    path = tmp_path / "export"
    write_folder(path, graph="old")
    with pytest.raises(ValueError), written_whole(path) as unfinished:
        write_folder(unfinished, graph="half")
        raise ValueError
    assert (path / "graph").read_text() == "old"
    assert names(tmp_path) == ["export"]


def test_an_interruption_while_the_folder_is_exchanged_leaves_the_old_one(tmp_path, monkeypatch):
    path, replace = tmp_path / "export", os.replace
    write_folder(path, graph="old")

    def interrupt_at_the_new_one(source, target):
        if target == path and (path.parent / source / "graph").read_text() == "new":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr("os.replace", interrupt_at_the_new_one)
    with pytest.raises(KeyboardInterrupt), written_whole(path) as unfinished:
        write_folder(unfinished, graph="new")
    assert (path / "graph").read_text() == "old" and names(tmp_path) == ["export"]


def test_a_file_does_not_replace_a_folder(tmp_path):
    write_folder(tmp_path / "photos", one="precious")
    with pytest.raises(InputError, match="photos is a folder, but a file is to be written"):
        write_text(tmp_path / "photos", "new")
    assert (tmp_path / "photos" / "one").read_text() == "precious"


def test_what_a_link_leads_to_is_replaced(tmp_path):
    write_folder(tmp_path / "real", graph="old")
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    with written_whole(tmp_path / "link") as unfinished:
        write_folder(unfinished, graph="new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "graph").read_text() == "new"


def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, is_folder in ((tmp_path / "pipe", False), (tmp_path, False), (tmp_path / "pipe", True)):
        with pytest.raises(InputError, match="exists already and is no (ordinary file|folder), so it is not replaced"):
            refuse_existing(path, overwrite=True, is_folder=is_folder)
    refuse_existing(tmp_path, overwrite=True, is_folder=True)


def test_an_interrupted_block_leaves_nothing_where_nothing_was(tmp_path):
    with pytest.raises(ValueError), written_whole(tmp_path / "model.keras") as unfinished:
        unfinished.write_text("half")
        raise ValueError
    assert names(tmp_path) == []


def test_a_block_that_writes_nothing_leaves_the_old_folder(tmp_path):
    path = tmp_path / "export"
    write_folder(path, graph="old")
    with pytest.raises(FileNotFoundError), written_whole(path):
        pass
    assert (path / "graph").read_text() == "old"


def test_neighbours_are_left_alone(tmp_path):
    (tmp_path / "model.keras.bak").write_text("neighbour")
    with written_whole(tmp_path / "model.keras") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "model.keras.bak").read_text() == "neighbour"


def test_missing_parents_are_made(tmp_path):
    with written_whole(tmp_path / "runs" / "first" / "model.keras") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "runs" / "first" / "model.keras").read_text() == "new"


def test_a_path_may_be_a_string_and_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with written_whole("log.csv") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "log.csv").read_text() == "new"


def test_text_is_written_as_utf_8(tmp_path):
    write_text(tmp_path / "vocabulary.txt", "é 한\n")
    assert (tmp_path / "vocabulary.txt").read_bytes() == b"\xc3\xa9 \xed\x95\x9c\n"


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "no whole JSON file (Expecting value"),
        (b'{"a": ', "no whole JSON file (Expecting value"),
        (b'{"a": "\xe9"}', "no whole JSON file ('utf-8' codec"),
        (b"[]", "holds no JSON object, but a list"),
    ],
)
def test_what_is_no_whole_json_object_is_refused(tmp_path, content, sentence):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{path}")) as refused:
        read_json(path)
    assert sentence in str(refused.value)
