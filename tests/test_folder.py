import pytest

pytest.importorskip("tensorflow_text")

from keras_attn import AttentionSeq2Seq, InputError, Translator, learn_text_processor
from keras_attn.config import TrainingConfig
from keras_attn.data import Split
from keras_attn.training.folder import begin, clear, refuse_other_pairs, refuse_other_texts


def test_a_run_does_not_go_on_with_other_ids(tmp_path):
    source, target = (learn_text_processor([letters], "characters") for letters in ("abc", "xyz"))
    Translator(AttentionSeq2Seq(7, 7, units=4), source, target).save(tmp_path)
    refuse_other_texts(tmp_path, (source, target))
    with pytest.raises(
        InputError, match="not those that the run in .* began with: on the target side, id 4 is 'x' in the"
    ):
        refuse_other_texts(tmp_path, (source, learn_text_processor(["xyw"], "characters")))


def test_other_pairs_than_those_it_held_out_are_refused(tmp_path):
    parts = Split([("a", "x")], [("b", "y")], [("c", ["z", "w"])])
    begin(tmp_path, TrainingConfig().resolved(), parts)
    refuse_other_pairs(tmp_path, parts._replace(train=[]))
    for other in ({"validation": [("b", "z")]}, {"test": [("c", ["z"])]}, {"test": []}):
        with pytest.raises(InputError, match="not those that the run in .* began with, so it may have seen what would"):
            refuse_other_pairs(tmp_path, parts._replace(**other))


def test_of_a_link_in_the_run_the_link_alone_is_deleted(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "model.keras").touch()
    (tmp_path / "run").mkdir()
    for name in ("checkpoint", "config.json"):
        (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    clear(tmp_path / "run")
    assert not list((tmp_path / "run").iterdir()) and (tmp_path / "elsewhere" / "model.keras").exists()
