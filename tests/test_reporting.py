from types import SimpleNamespace

from keras_attn.training.reporting import worth_drawing


def drawn_first(*lengths):
    translations = [SimpleNamespace(source_tokens=["a"] * source, tokens=["b"] * target) for source, target in lengths]
    return worth_drawing(translations)


def test_targets_of_middling_length_are_drawn_first_and_empty_ones_never():
    assert drawn_first((5, 0), (5, 9), (5, 4), (5, 1)) == [2, 3, 1]


def test_among_targets_of_one_length_a_source_of_middling_length_is_drawn_first():
    assert drawn_first((4, 10), (30, 10), (15, 10), (9, 10))[0] == 2
