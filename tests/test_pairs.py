import gzip

import pytest
import tensorflow as tf

from keras_attn import InputError
from keras_attn.data import read_pairs, read_parallel, read_tsv
from keras_attn.data.pairs import stream_parallel, stream_tsv

TRUNCATED = gzip.compress(b"a\tb\n", mtime=0)[:-9]


def file(folder, content, name="pairs.tsv"):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"a\tb\nc d\te f\n", [("a", "b"), ("c d", "e f")]),
        (b"a\tb", [("a", "b")]),
        (b"a\tb\r\nc\td\r\n", [("a", "b"), ("c", "d")]),
        (b"\xef\xbb\xbfa\tb\nc\td\n", [("a", "b"), ("c", "d")]),
        (b"a\tb\tCC-BY\t7\n", [("a", "b")]),
        (b"a\tb\t\n", [("a", "b")]),
        (b"\na\tb\n\n \r\nc\td\n\n", [("a", "b"), ("c", "d")]),
        ("한국어\t日本語\n".encode(), [("한국어", "日本語")]),
        ("a\u2028b\u0085c\td\x0b\n".encode(), [("a\u2028b\u0085c", "d\x0b")]),
        (b"a\t\n\tb\n\t\n", [("a", ""), ("", "b"), ("", "")]),
        (b'"a\tb"\n', [('"a', 'b"')]),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_each_line_of_a_tsv_file_is_a_pair(tmp_path, content, expected, compressed):
    path = file(tmp_path, gzip.compress(content), "pairs.tsv.gz") if compressed else file(tmp_path, content)
    assert read_tsv(path) == expected


def test_a_byte_order_mark_inside_the_file_is_text(tmp_path):
    assert read_tsv(file(tmp_path, "a\tb\n\ufeffc\td\n".encode()))[1] == ("\ufeffc", "d")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a\tb\n\nc d\n", "line 3 has no tab"),
        (b"a\tb\n\nc\xff\td\n", "line 3 is not UTF-8"),
        (b"\xff\xfea\x00\t\x00", "line 1 is not UTF-8"),
        (b"a\tb\rc\td\r", "ends its lines with carriage returns alone"),
    ],
)
def test_a_bad_tsv_file_is_named_with_its_line(tmp_path, content, message):
    path = file(tmp_path, content)
    with pytest.raises(InputError, match=message) as raised:
        read_tsv(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("content", [TRUNCATED, b"a\tb\n", TRUNCATED[:5]])
def test_a_broken_gzip_file_is_named(tmp_path, content):
    path = file(tmp_path, content, "pairs.tsv.gz")
    with pytest.raises(InputError, match="not a whole gzip file") as raised:
        read_tsv(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("read", [read_tsv, read_pairs, lambda path: read_parallel(path, path)])
@pytest.mark.parametrize("name", ["missing.tsv", "."])
def test_a_path_without_a_file_is_named(tmp_path, read, name):
    with pytest.raises(InputError, match="is not a file") as raised:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)


def test_parallel_files_are_read_line_by_line(tmp_path):
    sources = file(tmp_path, b"\xef\xbb\xbfa\r\nb\tb\r\n", "train.de")
    targets = file(tmp_path, gzip.compress(b"c\n\n"), "train.en.gz")
    assert read_parallel(sources, targets) == [("a", "c"), ("b\tb", "")]


def test_parallel_files_of_different_length_are_refused_with_both_counts(tmp_path):
    three, two = file(tmp_path, b"a\nb\nc\n", "three"), file(tmp_path, b"a\nb", "two")
    with pytest.raises(InputError, match=r"three has 3 lines and .*two has 2"):
        read_parallel(three, two)


@pytest.mark.parametrize("empty_is_first", [True, False])
def test_an_empty_parallel_file_is_named(tmp_path, empty_is_first):
    paths = [file(tmp_path, b"", "nothing"), file(tmp_path, b"a\n", "something")]
    with pytest.raises(
        InputError, match="nothing has 0 lines and .*something has 1|something has 1 lines and .*nothing has 0"
    ):
        read_parallel(*paths if empty_is_first else reversed(paths))


def test_a_parallel_file_that_is_not_utf_8_is_named_with_its_line(tmp_path):
    good, bad = file(tmp_path, b"a\nb\n", "good"), file(tmp_path, b"a\n\xe9\n", "bad")
    with pytest.raises(InputError, match="bad, line 2 is not UTF-8"):
        read_parallel(good, bad)


@pytest.mark.parametrize(
    "pairs",
    [
        [("é", "b"), ("c", "d")],
        [["é", "b"], ["c", "d"]],
        [("é".encode(), b"b"), ("c", b"d")],
        (pair for pair in [("é", "b"), ("c", "d")]),
        zip(["é", "c"], ["b", "d"]),
        {"é": "b", "c": "d"}.items(),
        tf.data.Dataset.from_tensor_slices((["é", "c"], ["b", "d"])),
        tf.data.Dataset.from_tensor_slices([["é", "b"], ["c", "d"]]),
    ],
)
def test_pairs_come_from_any_iterable(pairs):
    assert read_pairs(pairs) == [("é", "b"), ("c", "d")]


@pytest.mark.parametrize("as_path", [str, lambda path: path])
def test_pairs_come_from_the_path_of_a_file(tmp_path, as_path):
    assert read_pairs(as_path(file(tmp_path, b"a\tb\n"))) == [("a", "b")]


@pytest.mark.parametrize(
    "element", [("a",), ("a", "b", "c"), "abc", b"ab", 7, None, ("a", 7), (None, "b"), ("a", ["b"]), (b"\xff", b"b")]
)
def test_an_element_that_is_no_pair_is_named_with_its_number(element):
    with pytest.raises(InputError, match="Element 2 ") as raised:
        read_pairs([("a", "b"), element])
    assert repr(element) in str(raised.value)


@pytest.mark.parametrize("element", ["ab", {"source": "a", "target": "b"}, {"a", "b"}])
def test_two_letters_or_two_keys_are_no_pair(element):
    with pytest.raises(InputError, match="Element 1 "):
        read_pairs([element])


def test_batched_datasets_are_refused():
    with pytest.raises(InputError, match="Element 1 "):
        read_pairs(tf.data.Dataset.from_tensor_slices((["a", "c"], ["b", "d"])).batch(2))


def test_two_empty_parallel_files_are_named(tmp_path):
    with pytest.raises(InputError, match="nothing and .*neither are empty"):
        read_parallel(file(tmp_path, b"", "nothing"), file(tmp_path, b"", "neither"))


def test_a_stream_reads_its_files_anew_each_time(tmp_path):
    content = b"a\tb\nc\td\n"
    of_one_file = stream_tsv(file(tmp_path, content))
    of_two_files = stream_parallel(file(tmp_path, b"a\nc\n", "source"), file(tmp_path, b"b\nd\n", "target"))
    for stream in (of_one_file, of_two_files):
        assert [list(stream), list(stream)] == [[("a", "b"), ("c", "d")]] * 2


def test_two_walks_through_a_stream_do_not_disturb_each_other(tmp_path):
    stream = stream_tsv(file(tmp_path, b"a\tb\nc\td\n"))
    assert list(zip(stream, stream)) == [(("a", "b"),) * 2, (("c", "d"),) * 2]


def test_a_stream_of_an_empty_file_is_refused_when_it_is_read(tmp_path):
    with pytest.raises(InputError, match="is empty"):
        list(stream_tsv(file(tmp_path, b"\n")))
