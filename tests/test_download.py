import functools
import hashlib
import http.server
import os
import socket
import threading
import zipfile

import keras
import pytest

from keras_attn import InputError
from keras_attn.data import DOWNLOADS, download_pairs
from keras_attn.data.download import Download

MEMBER = "spa-eng/spa.txt"
TWO_LINES = "Go.\tVe.\nHi.\t¡Hola!\tCC-BY 2.0\n"


class CountingHandler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.requested.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def published(tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    return folder


@pytest.fixture
def server(published, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(CountingHandler, directory=published)
    ) as server:
        server.requested = []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "deeply" / "nested" / "cache"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(autouse=True)
def two_lines_are_expected(monkeypatch):
    monkeypatch.setitem(DOWNLOADS, "spa-eng", Download(MEMBER, lines=2))


@pytest.fixture
def download(server, cache):
    return functools.partial(download_pairs, "spa-eng", server.url, cache)


def publish(folder, members, name="spa-eng.zip"):
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member, text in members.items():
            archive.writestr(member, text)
    return folder / name


def cached(cache):
    return cache / "datasets" / "spa-eng.zip"


def test_pairs_go_from_the_other_language_to_english(published, download):
    publish(published, {MEMBER: TWO_LINES, "spa-eng/_about.txt": "Tatoeba"})
    assert download() == [("Ve.", "Go."), ("¡Hola!", "Hi.")]


def test_the_second_call_takes_the_kept_archive(published, download, server):
    publish(published, {MEMBER: TWO_LINES})
    assert download() == download()
    assert server.requested == ["/spa-eng.zip"]


def test_each_name_has_its_own_archive(published, server, cache, monkeypatch):
    monkeypatch.setitem(DOWNLOADS, "fra-eng", Download("fra.txt", lines=1))
    publish(published, {MEMBER: TWO_LINES})
    publish(published, {"fra.txt": "Go.\tVa !\n"}, "fra-eng.zip")
    assert download_pairs("fra-eng", server.url, cache) == [("Va !", "Go.")]
    assert download_pairs("spa-eng", server.url, cache)[0] == ("Ve.", "Go.")


def test_the_hash_of_the_first_download_is_recorded(published, download, cache):
    archive = publish(published, {MEMBER: TWO_LINES})
    download()
    record = cached(cache).with_name("spa-eng.zip.sha256").read_text()
    assert record.split() == [hashlib.sha256(archive.read_bytes()).hexdigest(), "spa-eng.zip"]


def test_a_changed_archive_is_noticed(published, download, cache):
    publish(published, {MEMBER: TWO_LINES})
    download()
    publish(cached(cache).parent, {MEMBER: TWO_LINES.replace("Ve.", "Va.")})
    with pytest.raises(InputError, match="has changed since the first download"):
        download()


def test_a_changed_archive_is_taken_once_the_record_is_deleted(published, download, cache):
    publish(published, {MEMBER: TWO_LINES})
    download()
    publish(cached(cache).parent, {MEMBER: TWO_LINES.replace("Ve.", "Va.")})
    cached(cache).with_name("spa-eng.zip.sha256").unlink()
    assert download()[0] == ("Va.", "Go.")


def test_an_archive_of_another_size_is_refused_with_both_sizes(published, download, monkeypatch):
    size = publish(published, {MEMBER: TWO_LINES}).stat().st_size
    monkeypatch.setitem(DOWNLOADS, "spa-eng", Download(MEMBER, archive_bytes=size + 1))
    with pytest.raises(InputError, match=f"has {size} bytes instead of {size + 1}; delete .*spa-eng.zip"):
        download()


def test_an_archive_of_the_right_size_is_taken(published, download, monkeypatch):
    size = publish(published, {MEMBER: TWO_LINES}).stat().st_size
    monkeypatch.setitem(DOWNLOADS, "spa-eng", Download(MEMBER, archive_bytes=size, lines=2))
    assert len(download()) == 2


@pytest.mark.parametrize("content", [b"<html>Sign in to the hotel's network</html>", b""])
def test_what_is_no_archive_is_refused(published, download, content):
    (published / "spa-eng.zip").write_bytes(content)
    with pytest.raises(InputError, match="spa-eng.zip is not a zip archive .*; delete .*spa-eng.zip"):
        download()


def test_half_an_archive_is_refused(published, download):
    archive = publish(published, {MEMBER: TWO_LINES * 100})
    archive.write_bytes(archive.read_bytes()[:1000])
    with pytest.raises(InputError, match="is not a zip archive"):
        download()


def test_an_archive_with_a_damaged_member_is_refused(published, download):
    archive = publish(published, {MEMBER: TWO_LINES})
    archive.write_bytes(archive.read_bytes().replace(b"Hola", b"Hole"))
    with pytest.raises(InputError, match="spa-eng.zip"):
        download()


def test_an_archive_without_the_member_is_refused(published, download):
    publish(published, {"spa.txt": TWO_LINES})
    with pytest.raises(InputError, match=f"has no member {MEMBER}"):
        download()


@pytest.mark.parametrize("lines", [1, 3])
def test_another_number_of_lines_is_refused_with_both_numbers(published, download, lines):
    publish(published, {MEMBER: "Go.\tVe.\n" * lines})
    with pytest.raises(InputError, match=f"has {lines} lines instead of 2"):
        download()


@pytest.mark.parametrize("bad", [{"spa.txt": TWO_LINES}, {MEMBER: "Go.\tVe.\n"}])
def test_deleting_a_bad_archive_as_told_helps(published, download, cache, bad):
    publish(published, bad)
    with pytest.raises(InputError, match="delete .*spa-eng.zip and run again"):
        download()
    cached(cache).unlink()
    publish(published, {MEMBER: TWO_LINES})
    assert len(download()) == 2


def test_an_archive_that_is_not_on_the_server_is_named_with_a_way_out(server, download, cache):
    with pytest.raises(InputError, match="404") as raised:
        download()
    assert f"{server.url}spa-eng.zip" in str(raised.value)
    assert "--tsv" in str(raised.value)
    assert not cached(cache).exists()


def test_a_server_that_does_not_answer_is_named_with_a_way_out(cache):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(InputError, match="cannot be reached") as raised:
            download_pairs("spa-eng", url, cache)
    assert f"{url}spa-eng.zip" in str(raised.value)
    assert "--tsv" in str(raised.value)


def test_members_that_climb_out_of_the_cache_are_not_written(published, download, tmp_path):
    publish(published, {"../../evil.txt": "evil", "/evil.txt": "evil", MEMBER: TWO_LINES})
    download()
    assert list(tmp_path.rglob("evil.txt")) == []


def test_even_the_wanted_member_cannot_climb_out_of_the_cache(published, download, cache, tmp_path, monkeypatch):
    monkeypatch.setitem(DOWNLOADS, "spa-eng", Download("../../evil.txt"))
    publish(published, {"../../evil.txt": TWO_LINES})
    assert len(download()) == 2
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - {published / "spa-eng.zip"}
    assert written and all(cache in path.parents for path in written)


def test_an_unknown_name_is_refused_with_the_known_ones(cache):
    with pytest.raises(InputError, match="'deu-eng' is not a data set; .*dates.*spa-eng.*fra-eng"):
        download_pairs("deu-eng", cache_folder=cache)


def test_a_cache_folder_that_is_not_there_yet_is_made(tmp_path, monkeypatch):
    usable = []

    def get_file(*_, cache_dir, **__):
        usable.append(os.access(cache_dir, os.W_OK))
        raise OSError("enough seen")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(InputError):
        download_pairs("spa-eng", cache_folder=tmp_path / "new")
    assert usable == [True]
