import gzip
import random

import pytest
import tensorflow as tf

from keras_attn import InputError
from keras_attn.data import read_pairs, read_parallel, read_tsv, split_pairs

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
        (b"a\t\n\tb\n", [("a", ""), ("", "b")]),
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


@pytest.fixture
def repeated_sources():
    """300 different pairs of 100 sources, which have one to five targets each."""
    pairs = [(f"source {number}", f"target {copy}") for number in range(100) for copy in range(1 + number % 5)]
    random.Random(1).shuffle(pairs)
    return pairs


def sources(part):
    return {source for source, _ in part}


def test_no_source_is_in_two_parts(repeated_sources):
    train, validation, test = split_pairs(repeated_sources, 20, 30)
    assert [len(sources(part)) for part in (train, validation, test)] == [50, 20, 30]
    assert not sources(train) & sources(validation)
    assert not sources(train) & sources(test)
    assert not sources(validation) & sources(test)


def test_every_pair_is_in_a_part_and_in_the_order_of_the_pairs(repeated_sources):
    doubled = repeated_sources + repeated_sources[:10]
    parts = split_pairs(doubled, 20, 30)
    assert sorted(sum(parts, [])) == sorted(doubled)
    for part in parts:
        assert part == [pair for pair in doubled if pair[0] in sources(part)]


@pytest.mark.parametrize("count, held_out", [(3, 1), (39, 1), (40, 2), (200, 10), (41_000, 2000)])
def test_one_source_in_twenty_is_held_out_unless_told(count, held_out):
    split = split_pairs([(str(number), "") for number in range(count)])
    assert [len(part) for part in split] == [count - 2 * held_out, held_out, held_out]


def test_the_same_seed_gives_the_same_parts(repeated_sources):
    assert split_pairs(repeated_sources, seed=3) == split_pairs(repeated_sources, seed=3)


def test_the_order_of_the_pairs_does_not_decide_the_parts(repeated_sources):
    split, other = split_pairs(repeated_sources), split_pairs(repeated_sources[::-1])
    assert [sources(part) for part in split] == [sources(part) for part in other]


def test_another_seed_gives_other_parts(repeated_sources):
    assert sources(split_pairs(repeated_sources, seed=3).test) != sources(split_pairs(repeated_sources, seed=4).test)


@pytest.mark.parametrize("different, validation, test", [(0, 1, 1), (2, 1, 1), (5, 3, 2), (5, 5, 0)])
def test_too_few_sources_are_refused_with_the_counts(different, validation, test):
    pairs = [(str(number), str(copy)) for number in range(different) for copy in range(9)]
    with pytest.raises(InputError, match=f"{different} different .* {validation} for validation and {test} for the "):
        split_pairs(pairs, validation, test)


def test_two_sources_are_too_few_for_the_default():
    with pytest.raises(InputError, match="2 different"):
        split_pairs([("a", "b"), ("c", "d")])


def test_a_negative_count_is_refused():
    with pytest.raises(InputError):
        split_pairs([(str(number), "") for number in range(9)], validation=-1, test=2)


def test_the_classic_sentence_pairs_are_split_without_a_leak(shared):
    pairs = read_tsv(shared / "data" / "tatoeba" / "spa-eng.tsv.gz")
    assert len(pairs) == 118_964 and len({english for english, _ in pairs}) == 102_904
    parts = split_pairs(pairs)
    assert sum(map(len, parts)) == 118_964
    train, validation, test = ({english for english, _ in part} for part in parts)
    assert len(validation) == len(test) == 2_000
    assert not train & validation and not train & test and not validation & test


def test_two_empty_parallel_files_are_named(tmp_path):
    with pytest.raises(InputError, match="nothing and .*neither are empty"):
        read_parallel(file(tmp_path, b"", "nothing"), file(tmp_path, b"", "neither"))
