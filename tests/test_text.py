import itertools
import json
import random
import re
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.errors import InputError
from keras_attn.ids import END, UNKNOWN
from keras_attn.text import WordProcessor, learn_text_processor, text_processor_from_config

pytest.importorskip("tensorflow_text")
pytest.importorskip("sentencepiece")

UNITS = ["words", "characters", "subwords"]
FORMS = ["NFKC", "NFC", "NFKD", "NFD"]
SENTENCES = [
    "The cat sat on the mat.",
    "한국어 문장을 씁니다.",
    "«Où est-il?» — (ici), dit-elle!",
    "the dog isn't here",
]


@pytest.fixture(scope="module", params=UNITS)
def processor(request):
    """One that has seen `SENTENCES`."""
    return learn_text_processor(SENTENCES * 5, request.param, vocabulary_size=100)


def learned(texts, unit="words", **options):
    return learn_text_processor(texts, unit, vocabulary_size=100_000, **options)


def strings(tensor):
    return [text.decode() for text in tensor.numpy().tolist()]


def tokens(processor, text):
    return [token.decode() for token in processor.to_tokens(processor.to_ids([text])).to_list()[0]]


def ids(processor, text):
    return processor.to_ids([text]).to_list()[0]


def normalized(text, **options):
    return strings(WordProcessor([], **options).normalize([text]))[0]


def written(text, form):
    """The text as people write it, after that form."""
    return unicodedata.normalize(form.replace("D", "C"), text)


def round_trip(processor, texts):
    return strings(processor.to_text(processor.to_ids(texts)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "text", ["한국어", "\u1112\u1161\u11ab", "Ａｂｃ１２！", "ﾊﾟﾋﾟ", "é", "e\u0301", "ﬁ ½ ™ Å", "ạ\u0308"]
)
def test_normalisation_equals_pythons(text, form):
    assert normalized(text, normalization=form) == unicodedata.normalize(form, text)


def test_nfkc_keeps_syllables_whole_and_nfd_takes_them_apart():
    assert tokens(learned(["한국"], "characters"), "한국") == ["한", "국"]
    taken_apart = learned(["한국"], "characters", normalization="NFD")
    assert tokens(taken_apart, "한국") == list("\u1112\u1161\u11ab\u1100\u116e\u11a8")


@pytest.mark.parametrize("text", ["ÉCOLE", "ДОМ", "ÄÖÜẞ", "Ωmega", "ＡＢＣ", "ÇA VA"])
def test_capitals_are_lowered_only_if_asked(text):
    plain = unicodedata.normalize("NFKC", text)
    assert normalized(text, lower_case=True) == plain.lower()
    assert normalized(text) == plain


def test_small_letters_are_written_in_the_same_form_as_others():
    assert normalized("J\u030c", lower_case=True) == normalized("ǰ", lower_case=True) == "ǰ"


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_normalises_as_asked(unit):
    processor = learn_text_processor(["THE CÄT"] * 5, unit, vocabulary_size=20, lower_case=True, normalization="NFD")
    assert strings(processor.normalize(["The CÄT"])) == ["the ca\u0308t"]
    assert round_trip(processor, ["The CÄT"]) == ["the cät"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("  a \t b\r\n", "a b"),
        ("a\x00b\x1fc\x7fd\x85e", "a b c d e"),
        ("a\xa0b\u202fc\u3000d\u2028e", "a b c d e"),
        ("\ufeffa\u200bb", "ab"),
        (b"caf\xe9 ok", "caf\ufffd ok"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("", ""),
        (" \u200b\t", ""),
    ],
)
def test_what_is_not_text_does_not_get_in(text, expected):
    assert normalized(text) == expected


def test_a_zero_width_space_does_not_keep_a_letter_in_two_parts():
    assert normalized("e\u200b\u0301") == "é"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Hello, world!", ["Hello", ",", "world", "!"]),
        ("a b .", ["a", "b", "."]),
        ("isn't", ["isn", "'", "t"]),
        ("(a)... b", ["(", "a", ")", ".", ".", ".", "b"]),
        ("3.50€", ["3", ".", "50", "€"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("a😀b 👍", ["a", "😀", "b", "👍"]),
        ("snake_case", ["snake", "_", "case"]),
        (".", ["."]),
        ("", []),
    ],
)
def test_words_and_punctuation_are_split(text, expected):
    assert tokens(learned([text, "x"]), text) == expected


@pytest.mark.parametrize(
    "text, expected",
    [
        ("Hello, world", ["Hello", "￭,", "world"]),
        ("Hello , world", ["Hello", ",", "world"]),
        ("(a) ( b", ["(￭", "a", "￭)", "(", "b"]),
        ("( a (", ["(", "a", "("]),
        ("3.5", ["3", "￭.￭", "5"]),
        ("wait ...", ["wait", ".", "￭.", "￭."]),
    ],
)
def test_a_joiner_is_where_a_mark_touches_its_neighbour(text, expected):
    assert [token.decode() for token in WordProcessor([]).split([text]).to_list()[0]] == expected


@pytest.mark.parametrize(
    "text",
    [
        '"Well," she said, "that\'s it."',
        "'tis the dogs' bone",
        "rock 'n' roll",
        "a [b] (c) {d} <e> ((f))",
        "a-b – c — d—e --f",
        "Wait... what?! ...no",
        "…and so… on",
        ".a b.",
        "?! ?!",
        "a b .",
        "a , b ( c ) ' d '",
        "50% of $3.50, i.e. 1/2",
        "«Où est-il ?»",
        "¿Qué? ¡No!",
        "「はい」と言った。",
        "mail@example.org, http://example.org/a?b=c#d",
        "a + b=c",
        "한국어, 문장!",
    ],
)
def test_text_comes_back_as_it_was(text):
    assert round_trip(learned([text]), [text]) == [unicodedata.normalize("NFKC", text)]


def random_texts(alphabet, count):
    rng = random.Random(0)
    return ["".join(rng.choices(alphabet, k=rng.randrange(16))) for _ in range(count)]


def plain_python_tokens(text):
    """Runs of letters, marks and digits; every other visible character by itself."""
    kinds = "".join(" " if char == " " else "w" if unicodedata.category(char)[0] in "LMN" else "p" for char in text)
    return [text[match.start() : match.end()] for match in re.finditer("w+|p", kinds)]


@pytest.mark.parametrize("form", ["NFKC", "NFC", "NFD"])
def test_random_text_of_known_tokens_comes_back_as_it_was(form):
    texts = random_texts("aabé한7    '\".,()-—…!?_$😀￮", 400)
    expected = [" ".join(written(text, form).split()) for text in texts]
    processor = learned(texts, normalization=form)
    assert round_trip(processor, texts) == expected
    assert processor.to_ids(texts).values.numpy().min() >= 4
    assert [[t.decode() for t in row] for row in processor.to_tokens(processor.to_ids(texts)).to_list()] == [
        plain_python_tokens(text) for text in expected
    ]


@pytest.mark.parametrize("form", FORMS)
def test_marks_are_the_same_tokens_in_every_form(form):
    processor = learned(["Hello, world!"], normalization=form)
    assert tokens(processor, "Hello, world!") == ["Hello", ",", "world", "!"]
    assert {"￭,", "￭!"} <= set(processor.tokens)


@pytest.mark.parametrize("form", FORMS)
def test_a_joiner_in_the_text_is_an_ordinary_mark(form):
    processor = learned(["a￭b ￭, ￭"], normalization=form)
    assert round_trip(processor, ["a￭b ￭, ￭"]) == ["a■b ■, ■"]


@pytest.mark.parametrize(
    "text, expected_ids, expected_text",
    [
        ("cat zebra sat.", [5, 1, 6, 4], "cat sat."),
        ("zebra.", [1, 4], "."),
        ("cat 😀", [5, 1], "cat"),
        ("😀 cat", [1, 5], "cat"),
        ("cat😀sat", [5, 1, 6], "cat sat"),
        ("cat (zebra) sat", [5, 1, 1, 1, 6], "cat sat"),
        ("zebra", [1], ""),
        (b"cat \xff\xfe sat", [5, 1, 1, 6], "cat sat"),
    ],
)
def test_unknown_words_are_id_one_and_leave_nothing_in_the_text(text, expected_ids, expected_text):
    processor = WordProcessor(["￭.", "cat", "sat"])
    assert ids(processor, text) == expected_ids
    assert round_trip(processor, [text]) == [expected_text]


def test_unknown_characters_and_subwords_are_id_one(processor):
    assert 1 in ids(processor, "the 😀 cat")
    assert 1 not in ids(processor, "the cat")


@pytest.mark.parametrize(
    "unit",
    [
        "words",
        "characters",
        "subwords",
    ],
)
def test_an_unknown_emoji_leaves_one_space(unit):
    processor = learn_text_processor(["the cat"] * 5, unit, vocabulary_size=20)
    assert round_trip(processor, ["the 😀 cat"]) == ["the cat"]


def test_text_seen_in_training_comes_back_as_it_was(processor):
    assert round_trip(processor, SENTENCES) == SENTENCES


@pytest.mark.parametrize("form", FORMS)
def test_characters_of_any_script_come_back_as_they_were(form):
    texts = ["한국어 문장", "日本語、カタカナ。", "👩‍👩‍👧 👍🏽", "ça, là", "हिन्दी"]
    processor = learned(texts, "characters", normalization=form)
    assert round_trip(processor, texts) == [written(text, form) for text in texts]
    assert [tokens(processor, text) for text in texts] == [list(unicodedata.normalize(form, text)) for text in texts]


@pytest.mark.parametrize("unit", ["words", "subwords"])
def test_tokens_are_shown_with_their_letters_together(unit):
    texts = ["한국어 café", "한국", "국어", "café"] * 5
    processor = learn_text_processor(texts, unit, vocabulary_size=40, normalization="NFKD")
    shown = tokens(processor, "한국어 café")
    assert "".join(shown).replace("▁", "") == "한국어café" and set(shown) <= set(processor.tokens)
    assert all(unicodedata.is_normalized("NFC", token) for token in processor.tokens)


def test_special_ids_are_the_same_for_every_unit(processor):
    assert strings(processor.to_tokens(tf.constant([0, 1, 2, 3]))) == ["", "[UNK]", "[START]", "[END]"]


@pytest.mark.parametrize("text", ["[PAD]", "[UNK]", "[START]", "[END]", "<pad>", "<unk>", "<s>", "</s>"])
@pytest.mark.parametrize("unit", UNITS)
def test_the_name_of_a_special_token_is_ordinary_text(unit, text):
    processor = learn_text_processor([text, " ".join(text)] * 5, unit, vocabulary_size=30)
    assert min(ids(processor, text)) > 3
    assert round_trip(processor, [text]) == [text]


def test_a_vocabulary_without_room_for_the_characters_is_refused_with_the_least_size():
    pytest.importorskip("sentencepiece")
    with pytest.raises(InputError, match="5 subwords have no room for every character .* vocabulary size 10 or more"):
        learn_text_processor(["abcde"], "subwords", vocabulary_size=5)


def test_ids_are_below_the_vocabulary_size(processor):
    found = processor.to_ids(SENTENCES)
    assert found.dtype == tf.int32
    assert 4 <= found.values.numpy().min() and found.values.numpy().max() < processor.vocabulary_size <= 100


@pytest.mark.parametrize("ragged", [False, True])
def test_text_ends_at_the_end_token(processor, ragged):
    first, second = ids(processor, SENTENCES[0]), ids(processor, SENTENCES[3])
    rows = tf.ragged.constant([first + [3] + second, [2] + second + [3, 0, 3], [3] + first, first], dtype=tf.int32)
    text = processor.to_text(rows if ragged else rows.to_tensor())
    assert strings(text) == [SENTENCES[0], SENTENCES[3], "", SENTENCES[0]]


def test_padding_start_and_unknown_are_left_out_of_the_text(processor):
    sentence = ids(processor, SENTENCES[0])
    assert strings(processor.to_text([[2, 0, 1] + sentence[:2] + [1, 0] + sentence[2:] + [0, 0]])) == [SENTENCES[0]]


@pytest.mark.parametrize(
    "unit",
    [
        "words",
        "characters",
        "subwords",
    ],
)
def test_ids_may_be_wide_integers(unit):
    processor = learn_text_processor(["the cat"] * 5, unit, vocabulary_size=20)
    wide = np.array([ids(processor, "the cat")], "int64")
    assert strings(processor.to_text(wide)) == ["the cat"]


def test_the_empty_string_is_no_ids_and_comes_back(processor):
    assert processor.to_ids(["", " ", "\u200b"]).to_list() == [[], [], []]
    assert round_trip(processor, ["", " "]) == ["", ""]
    assert strings(processor.to_text(np.zeros((2, 0), "int32"))) == ["", ""]


def test_an_empty_batch_stays_empty(processor):
    found = processor.to_ids(tf.constant([], tf.string))
    assert found.to_list() == []
    assert processor.to_text(found).shape == [0]
    assert processor.to_text(np.zeros((0, 5), "int32")).shape == [0]
    assert processor.to_tokens(np.zeros((0, 5), "int32")).shape == [0, 5]


def test_everything_works_in_a_graph(processor):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def in_graph(texts):
        found = processor.to_ids(texts)
        return processor.to_text(found.to_tensor()), processor.to_tokens(found).to_tensor(), found.to_tensor()

    texts, pieces, found = in_graph(tf.constant(SENTENCES))
    assert strings(texts) == SENTENCES
    np.testing.assert_array_equal(found, processor.to_ids(SENTENCES).to_tensor())
    np.testing.assert_array_equal(pieces, processor.to_tokens(processor.to_ids(SENTENCES)).to_tensor())
    assert in_graph(tf.constant([], tf.string))[0].shape == [0]


@pytest.mark.parametrize("unit", UNITS)
def test_a_configuration_that_went_through_json_gives_the_same_ids(unit):
    options = {"normalization": "NFD", "lower_case": True}
    processor = learn_text_processor(SENTENCES * 5, unit, vocabulary_size=70, **options)
    again = text_processor_from_config(json.loads(json.dumps(processor.get_config())))
    texts = SENTENCES + ["ÇA 한글 😀 xyz"]
    assert type(again) is type(processor)
    assert again.vocabulary_size == processor.vocabulary_size
    assert again.to_ids(texts).to_list() == processor.to_ids(texts).to_list()
    assert round_trip(again, texts) == round_trip(processor, texts)


def surfaces(processor, text):
    return [token.decode() for token in processor.surfaces(tf.constant([text])).to_list()[0]]


def test_a_surface_is_what_stands_in_the_text_at_each_id():
    assert surfaces(learned(["the cat"]), "the zebra, twice") == ["the", "zebra", ",", "twice"]
    assert surfaces(learned(["ab"], "characters"), "axb") == ["a", "x", "b"]


@pytest.mark.parametrize("text", ["the catmat", "zzz the", "", "▁", "the ▁ cat", "a▁b ▁▁ the", "씁니다. 123 the"])
def test_the_surface_of_a_subword_is_its_word(text):
    processor = learned(SENTENCES * 5, "subwords")
    words = text.replace("▁", " ").split()
    found = surfaces(processor, text)
    assert len(found) == len(ids(processor, text))
    assert [word for word, _ in itertools.groupby(found) if word] == words


def test_batch_mates_do_not_change_a_surface():
    processor = learned(SENTENCES * 5, "subwords")
    texts = ["the ▁ cat", "", "▁ ▁", "here the mat"]
    together = processor.surfaces(tf.constant(texts)).to_list()
    assert together == [processor.surfaces(tf.constant([text])).to_list()[0] for text in texts]


def test_an_unknown_token_can_be_written_as_something_else(processor):
    one, two = ids(processor, "the")[:1], ids(processor, "mat")[:1]
    row = [*one, UNKNOWN, UNKNOWN, *two, END, UNKNOWN]
    instead = ["x", "New", "", "x", "x", "x"]
    (text,) = strings(processor.to_text(tf.constant([row]), tf.constant([instead])))
    first, last = strings(processor.to_text(tf.constant([one, two])))
    assert re.fullmatch(f"{first} ?New ?{last}", text)


def test_subwords_are_learned_from_lines_that_are_too_long_for_sentencepiece():
    pytest.importorskip("sentencepiece")
    (pieces,) = learn_text_processor(["ab cd " * 20_000], "subwords", vocabulary_size=20).to_ids(["ab cd"])
    assert UNKNOWN not in pieces
