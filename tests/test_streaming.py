import io
import itertools
import json

import pytest

from keras_attn import InputError
from keras_attn.commands.streaming import GrowingFile, Lines

INPUTS = [f"line {number}" for number in range(2_500)]


def text(line):
    return [line.upper()]


def n_best(line):
    """Several lines for an input, and another number of them for each; now and then none."""
    return [f"{line} ||| é{place}" for place in range(len(line) % 4)]


def write(path, answer, inputs=INPUTS, stop=None, error=None, **options):
    with GrowingFile(path, **options) as file:
        for line in itertools.islice(inputs, file.done, None):
            if file.done == stop:
                raise error
            file.write(*answer(line))


def write_and_die(path, answer, stop, **options):
    """Dies without leaving the block, and what Python had not handed to the system yet is lost."""
    file = GrowingFile(path, **options).__enter__()
    for line in INPUTS[file.done : stop]:
        file.write(*answer(line))
    file._file.raw.close()


def expected(answer, inputs=INPUTS):
    return "".join(f"{line}\n" for each in inputs for line in answer(each)).encode()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("settings", [None, {"beam": 5}])
@pytest.mark.parametrize("answer", [text, n_best])
def test_a_file_takes_its_name_when_it_is_whole(tmp_path, answer, settings):
    path = tmp_path / "new" / "out.txt"
    with GrowingFile(path, settings) as file:
        for line in INPUTS:
            assert not path.exists()
            file.write(*answer(line))
    assert path.read_bytes() == expected(answer)
    assert names(path.parent) == ["out.txt"]


def test_no_input_gives_an_empty_file(tmp_path):
    write(tmp_path / "out.txt", text, inputs=[])
    assert (tmp_path / "out.txt").read_bytes() == b""


@pytest.mark.parametrize("answer", [text, n_best])
@pytest.mark.parametrize("stop", [1, 7, 999, 1_000, 2_400])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_file_goes_on_where_it_stopped(tmp_path, answer, stop, error):
    path, settings = tmp_path / "out.txt", {"beam": 5}
    with pytest.raises(error):
        write(path, answer, settings=settings, stop=stop, error=error)
    assert names(tmp_path) == ["out.txt.part", "out.txt.part.json"]
    with GrowingFile(path, settings, resume=True) as file:
        assert file.done == stop
        for line in INPUTS[stop:]:
            file.write(*answer(line))
    assert path.read_bytes() == expected(answer)
    assert names(tmp_path) == ["out.txt"]


@pytest.mark.parametrize("answer", [text, n_best])
def test_a_file_may_be_interrupted_again_and_again(tmp_path, answer):
    path = tmp_path / "out.txt"
    for stop in range(100, 2_500, 700):
        with pytest.raises(KeyboardInterrupt):
            write(path, answer, settings={}, stop=stop, error=KeyboardInterrupt, resume=True)
    write(path, answer, settings={}, resume=True)
    assert path.read_bytes() == expected(answer)


@pytest.mark.parametrize("answer", [text, n_best])
@pytest.mark.parametrize("stop", [3, 1_000, 1_500, 2_499])
def test_a_killed_process_loses_no_more_than_since_the_last_note(tmp_path, answer, stop):
    path = tmp_path / "out.txt"
    write_and_die(path, answer, stop, settings={})
    assert not path.exists()
    with GrowingFile(path, {}, resume=True) as file:
        assert file.done == stop // 1_000 * 1_000
        for line in INPUTS[file.done :]:
            file.write(*answer(line))
    assert path.read_bytes() == expected(answer)
    assert names(tmp_path) == ["out.txt"]


def test_half_an_answer_does_not_count(tmp_path):
    """Interrupted between two lines of one n-best list."""
    path = tmp_path / "out.txt"

    def lines():
        yield "2 ||| a"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), GrowingFile(path, {}) as file:
        file.write("0 ||| a", "0 ||| b")
        file.write("1 ||| a", "1 ||| b")
        file.write(*lines())
    with GrowingFile(path, {}, resume=True) as file:
        assert file.done == 2
        file.write("2 ||| a", "2 ||| b")
    assert path.read_text().split() == [
        "0",
        "|||",
        "a",
        "0",
        "|||",
        "b",
        "1",
        "|||",
        "a",
        "1",
        "|||",
        "b",
        "2",
        "|||",
        "a",
        "2",
        "|||",
        "b",
    ]


def test_going_on_with_nothing_begins(tmp_path):
    write(tmp_path / "out.txt", text, settings={}, resume=True)
    assert (tmp_path / "out.txt").read_bytes() == expected(text)


@pytest.mark.parametrize("resume", [False, True])
def test_nothing_is_touched_before_there_is_an_answer(tmp_path, resume):
    path = tmp_path / "new" / "out.txt"
    with pytest.raises(ValueError):
        write(path, text, settings={}, stop=0, error=ValueError, resume=resume)
    assert names(tmp_path) == []
    with pytest.raises(KeyboardInterrupt):
        write(path, text, settings={}, stop=5, error=KeyboardInterrupt)
    before = {each: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises(ValueError), GrowingFile(path, {}, resume=resume, overwrite=not resume):
        raise ValueError
    assert {each: each.read_bytes() for each in path.parent.iterdir()} == before


def test_what_cannot_be_gone_on_with_is_deleted_when_it_is_interrupted(tmp_path):
    path = tmp_path / "out.txt"
    with pytest.raises(KeyboardInterrupt):
        write(path, text, stop=1_500, error=KeyboardInterrupt)
    assert names(tmp_path) == []
    write_and_die(path, text, 1_500)
    with pytest.raises(InputError, match="out.txt.part is the part of an earlier run; add --overwrite"):
        GrowingFile(path)
    write(path, text, overwrite=True)
    assert path.read_bytes() == expected(text) and names(tmp_path) == ["out.txt"]


def test_an_existing_file_is_kept_unless_it_may_be_overwritten(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("precious")
    for resume in (False, True):
        with pytest.raises(InputError, match="out.txt exists already; add --overwrite"):
            GrowingFile(path, {}, resume=resume)
    with GrowingFile(path, {}, overwrite=True) as file:
        file.write("new")
        assert path.read_text() == "precious"
    assert path.read_text() == "new\n" and names(tmp_path) == ["out.txt"]


def test_a_part_that_is_somebody_elses_is_kept(tmp_path):
    (tmp_path / "out.txt.part").write_text("precious")
    with pytest.raises(InputError, match="out.txt.part is the part of an earlier run"):
        GrowingFile(tmp_path / "out.txt", {})
    assert (tmp_path / "out.txt.part").read_text() == "precious"


def test_what_a_link_leads_to_is_replaced(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write(tmp_path / "link.txt", text, overwrite=True)
    assert (tmp_path / "link.txt").is_symlink() and (tmp_path / "real.txt").read_bytes() == expected(text)


@pytest.fixture
def part(tmp_path):
    path = tmp_path / "out.txt"
    with pytest.raises(KeyboardInterrupt):
        write(path, text, settings={"beam": 5, "model": ["a"]}, stop=5, error=KeyboardInterrupt)
    return path


def test_an_existing_part_is_kept_unless_told_what_to_do_with_it(part):
    with pytest.raises(InputError, match="out.txt.part is the part of an earlier run; add --resume .* or --overwrite"):
        GrowingFile(part, {"beam": 5, "model": ["a"]})


@pytest.mark.parametrize("note", ["{}", '{"done": "1", "bytes": 0, "settings": {}}'])
def test_a_note_that_says_nothing_is_refused(part, note):
    part.with_name("out.txt.part.json").write_text(note)
    with pytest.raises(InputError, match="does not say how far .* is; begin anew with --overwrite"):
        GrowingFile(part, {}, resume=True)


def test_an_overwritten_part_begins_anew(part):
    write(part, n_best, settings={"beam": 4}, overwrite=True)
    assert part.read_bytes() == expected(n_best) and names(part.parent) == ["out.txt"]


def test_the_note_on_an_overwritten_part_does_not_hold_for_the_new_one(part):
    write_and_die(part, n_best, 500, settings={"beam": 4}, overwrite=True)
    assert names(part.parent) == ["out.txt.part"]
    with GrowingFile(part, {"beam": 5, "model": ["a"]}, resume=True) as file:
        assert file.done == 0


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"beam": 4, "model": ["a"]}, "beam 5, but now it is 4"),
        ({"beam": 5, "model": ["a", "b"]}, r"model \['a'\], but now it is \['a', 'b'\]"),
        ({"model": ["a"]}, "beam 5, but now it is None"),
        ({"beam": 5, "model": ["a"], "seed": 1}, "seed None, but now it is 1"),
    ],
)
def test_a_part_of_other_settings_is_refused_by_their_name(part, settings, told):
    with pytest.raises(InputError, match=f"begun with {told}; go on with the same, or begin anew with --overwrite"):
        GrowingFile(part, settings, resume=True)


def test_settings_are_compared_as_json_has_them(part):
    assert GrowingFile(part, {"model": ("a",), "beam": 5}, resume=True).done == 5


@pytest.mark.parametrize("change", ["shorter", "gone"])
def test_a_part_that_has_become_shorter_is_refused(part, change):
    written = part.with_name("out.txt.part")
    written.write_text("LINE 0\n") if change == "shorter" else written.unlink()
    with pytest.raises(InputError, match="part has [07] bytes, but .* says 35; begin anew with --overwrite"):
        GrowingFile(part, {"beam": 5, "model": ["a"]}, resume=True)


def test_the_note_says_how_far_it_is(part):
    note = json.loads(part.with_name("out.txt.part.json").read_text())
    assert note == {"done": 5, "bytes": 5 * len("LINE 0\n"), "settings": {"beam": 5, "model": ["a"]}}


def test_a_stream_gets_each_answer_at_once():
    stream = io.StringIO()
    with Lines(stream) as lines:
        assert lines.done == 0
        lines.write("a")
        lines.write("b", "c")
        assert stream.getvalue() == "a\nb\nc\n"
        lines.write()
    assert stream.getvalue() == "a\nb\nc\n"


class Shouting:
    """A translator that needs no model."""

    def n_best(self, texts, prefixes=None):
        return [[text.upper()] for text in texts]


def test_no_more_than_a_window_is_held_of_an_input_of_any_length(tmp_path):
    pytest.importorskip("tensorflow_text")
    from keras_attn.commands.common import progress
    from keras_attn.translator import Translator

    read, furthest = 0, 0

    def source():
        nonlocal read
        for read in range(1, 200_001):
            yield f"line {read}"

    with GrowingFile(tmp_path / "out.txt", {}) as file:
        for hypotheses in progress(Translator.stream(Shouting(), source(), window=4_096)):
            furthest = max(furthest, read - file.done)
            file.write(hypotheses[0])
    assert file.done == 200_000 and furthest == 4_096
    with (tmp_path / "out.txt").open() as lines:
        assert all(line == f"LINE {number}\n" for number, line in enumerate(lines, 1))
