import collections
import json

import pytest
from helpers import run_python

pytest.importorskip("tensorflow_text")

import tensorflow as tf

from keras_attn import AttentionSeq2Seq, BeamSearch, InputError, Translator, learn_text_processor, shortlisting
from keras_attn.ids import SPECIAL_TOKENS
from keras_attn.shortlisting import learn_shortlist, shortlist_of

pytestmark = pytest.mark.usefixtures("unoptimized_graphs")

PAIRS = [
    ("das Haus", "the house"),
    ("das Buch", "the book"),
    ("ein Buch", "a book"),
    ("", "nothing"),
    ("ein Haus", ""),
    ("Buch Buch unbekannt", "book ?"),
]


@pytest.fixture(scope="module")
def texts():
    """Words, two of which the vocabularies do not have."""
    source, target = zip(*PAIRS[:3])
    return learn_text_processor(source, "words"), learn_text_processor(target, "words")


def probabilities(pairs, rounds):
    """IBM model 1 as in the textbooks: word by word, in dictionaries."""
    found = collections.defaultdict(lambda: 1.0)
    for _ in range(rounds):
        counts, totals = collections.Counter(), collections.Counter()
        for sources, targets in pairs:
            for target in targets:
                together = sum(found[source, target] for source in sources)
                for source in sources:
                    share = found[source, target] / together
                    counts[source, target] += share
                    totals[source] += share
        found = {link: count / totals[link[0]] for link, count in counts.items()}
    return found


def test_a_word_becomes_what_model_1_says_the_most_probable_first(texts):
    known = set(texts[0].tokens), set(texts[1].tokens)
    pairs = [
        [[word if word in words else "[UNK]" for word in side.split()] for side, words in zip(pair, known)]
        for pair in PAIRS
    ]
    found = probabilities([([*source, "[END]"], target) for source, target in pairs], rounds=5)
    shortlist = learn_shortlist(PAIRS, *texts)
    for word in ("das", "ein", "Haus", "Buch", "[UNK]"):
        ranked = sorted((-found[link], link[1]) for link in found if link[0] == word and link[1] != "[UNK]")
        assert shortlist[word] == [target for _, target in ranked]
    assert [shortlist[word][0] for word in ("das", "Haus", "Buch")] == ["the", "house", "book"]


def test_the_end_token_has_the_most_frequent_of_all(texts):
    assert learn_shortlist(PAIRS, *texts, frequent=2)["[END]"] == ["book", "the"]


def test_lists_are_as_long_as_asked_and_without_special_tokens(texts):
    shortlist = learn_shortlist(PAIRS, *texts, candidates=1, frequent=0)
    assert {len(shortlist[word]) for word in ("das", "ein", "Haus", "Buch")} == {1} and shortlist["[END]"] == []
    everything = learn_shortlist(PAIRS, *texts)
    assert not {*SPECIAL_TOKENS} & {token for tokens in everything.values() for token in tokens}


def test_of_many_pairs_some_are_drawn_wherever_they_stand(texts, monkeypatch):
    pairs = [("das", "the")] * 500 + [("Haus", "house")] * 500
    monkeypatch.setattr(shortlisting, "_PAIRS", 20)
    assert {"das", "Haus"} <= set(learn_shortlist(iter(pairs), *texts))
    monkeypatch.setattr(shortlisting, "_LINKS", 2)  # as a pair has, with its end
    assert len(learn_shortlist(pairs, *texts)) == 2


@pytest.mark.parametrize("unit", ["characters", pytest.param("subwords", marks=pytest.mark.slow)])
def test_tokens_that_people_write_in_one_piece_find_their_ids(unit):
    """Subwords of Korean are taken apart inside, and put together where they are shown."""
    pairs = [("갔어요 집에", "I went home"), ("왔어요", "I came"), ("집", "home")] * 9
    source, target = (learn_text_processor(side, unit, vocabulary_size=40) for side in zip(*pairs))
    shortlist = learn_shortlist(json.loads(json.dumps(pairs)), source, target)
    found = shortlist_of(json.loads(json.dumps(shortlist)), source, target)
    used = {int(id) for row in source.to_ids(tf.constant(["갔어요 집에", "왔어요", "집"])).to_list() for id in row}
    assert used == {id for id, ids in enumerate(found.candidates) if ids} - {3}


@pytest.mark.parametrize(
    "tokens, sentence",
    [
        ({"Auto": ["car"]}, "'Auto' on the source side, which is no token of the model; make it anew"),
        ({"das": ["the", "car"]}, "'car' on the target side, which is no token of the model; make it anew"),
    ],
)
def test_other_tokens_are_refused(texts, tokens, sentence):
    with pytest.raises(InputError, match=sentence):
        shortlist_of(tokens, *texts)


def test_nothing_to_learn_from_is_refused(texts):
    with pytest.raises(InputError, match="no pairs to learn a shortlist from"):
        learn_shortlist([], *texts)
    with pytest.raises(InputError, match="candidates is -1, but it must be 0 or more"):
        learn_shortlist(PAIRS, *texts, candidates=-1)
    assert learn_shortlist([("", "")], *texts) == {"[END]": []}


SERVE = """
import json, sys
import tensorflow as tf, tensorflow_text
signatures = tf.saved_model.load("export").signatures
texts = tf.constant(json.loads(sys.argv[1]))
beam = {"width": tf.constant(2), "n": tf.constant(1), "length_penalty": tf.constant(1.0)}
found = [signatures["translate"](texts=texts), signatures["beam"](texts=texts, **beam)]
found = [each["translations"].numpy().ravel().tolist() for each in found]
print(json.dumps(found, default=bytes.decode))
"""


@pytest.mark.slow
def test_a_translator_and_its_export_write_nothing_else(texts, tmp_path):
    model = AttentionSeq2Seq(*(text.vocabulary_size for text in texts), units=8)
    model.build()
    model.set_weights([weight * 2 for weight in model.get_weights()])
    shortlist = {"das": ["the"], "Buch": ["book"], "[END]": []}
    sources = ["das", "das Buch", "Buch", "ein", ""]
    options = {"search": BeamSearch, "width": 2, "length_penalty": 1.0, "min_length": 3, "max_length": 6}
    translator = Translator(model, *texts, shortlist=shortlist, **options)
    answers = translator(sources)
    possible = [{"the"}, {"the", "book"}, {"book"}, set(), set()]
    assert all({*answer.split()} <= words for answer, words in zip(answers, possible)) and "the" in answers[0]
    assert answers != Translator(model, *texts, **options)(sources)
    translator.export(tmp_path / "export")
    assert json.loads(run_python(SERVE, json.dumps(sources), cwd=tmp_path)) == [answers, answers]
