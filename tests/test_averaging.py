import gc
import weakref

import numpy as np
import pytest
from helpers import disturb_weights

pytest.importorskip("tensorflow_text")

from keras_attn import Attention, AttentionSeq2Seq, InputError, Translator, learn_text_processor
from keras_attn.averaging import average_runs, averaged
from keras_attn.training.checkpoint import KeptEpochs

TEXTS = ["ab cd", "dcba", ""]


def new_model(rng, units=8, **arguments):
    model = AttentionSeq2Seq(11, 11, units=units, **arguments)
    model.build()
    disturb_weights(model, rng, deviation=1.0)
    return model


def three_models():
    return [new_model(np.random.default_rng(seed)) for seed in range(3)]


@pytest.fixture(scope="module")
def models():
    return three_models()


def means(models):
    return [np.mean(weights, 0, dtype="float64") for weights in zip(*(model.get_weights() for model in models))]


def assert_weights(model, expected):
    for weight, value in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(weight, value, rtol=1e-6, atol=1e-7)


@pytest.fixture(scope="module")
def text():
    text = learn_text_processor(["abcdefg"], "characters")
    assert text.vocabulary_size == 11
    return text


@pytest.fixture(scope="module")
def run(models, text, tmp_path_factory):
    """What a training run leaves that kept its three epochs, of which the first was the best."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    Translator(models[0], text, text).save(folder)
    keep = KeptEpochs(folder / "epochs", last=3)
    for epoch, model in enumerate(models):
        keep.set_model(model)
        keep.on_epoch_end(epoch)
    return folder


def test_each_weight_is_the_mean_of_the_models(models):
    assert_weights(averaged(models), means(models))


def test_the_mean_is_taken_in_double_precision():
    models = three_models()
    for model, value in zip(models, [2.0**24, 1, 1]):
        model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])
    # In single precision, one more than 2 ** 24 is 2 ** 24.
    assert all((weight == (2**24 + 2) / 3).all() for weight in averaged(models).get_weights())


def test_the_models_of_a_generator_are_held_two_at_a_time(rng):
    made = []
    gc.freeze()  # what other tests left behind would be gone through each time

    def one_after_the_other():
        for _ in range(4):
            gc.collect()
            assert sum(reference() is not None for reference in made) <= 1
            model = new_model(rng)
            made.append(weakref.ref(model))
            yield model

    assert averaged(one_after_the_other()).built and len(made) == 4


@pytest.mark.parametrize(
    "arguments",
    [{}, {"wiring": "bahdanau", "cell": "lstm", "attention": "additive", "dtype": "mixed_bfloat16"}],
)
def test_the_average_of_one_model_is_that_model(rng, arguments):
    model = new_model(rng, **arguments)
    average = averaged([model])
    assert average is not model and average.dtype_policy == model.dtype_policy
    inputs = {"source": np.array([[4, 5, 3]]), "target": np.array([[2, 6]])}
    np.testing.assert_array_equal(average(inputs), model(inputs))


@pytest.mark.slow
def test_the_average_of_a_model_with_itself_translates_as_it_does(run, tmp_path):
    average_runs([run, run / "model.keras", run / "epochs" / "epoch-001.keras"], tmp_path / "average")
    one, average = (Translator.load(folder, max_length=9).translate(TEXTS) for folder in (run, tmp_path / "average"))
    for alone, together in zip(one, average):
        assert (alone.text, alone.tokens, alone.score) == (together.text, together.tokens, together.score)


def test_the_last_epochs_that_a_run_kept_are_averaged(run, models, text, tmp_path):
    written = average_runs([run], tmp_path / "average", last=2)
    assert_weights(written.model, means(models[1:]))
    loaded = Translator.load(tmp_path / "average")
    assert_weights(loaded.model, means(models[1:]))
    assert loaded.source_text.get_config() == loaded.target_text.get_config() == text.get_config()


def test_runs_and_files_go_together_and_one_of_them_brings_the_text_processors(run, models, tmp_path):
    models[2].save(tmp_path / "alone.keras")
    average_runs([tmp_path / "alone.keras", run, run / "epochs" / "epoch-002.keras"], tmp_path / "average")
    assert_weights(Translator.load(tmp_path / "average").model, means(models))


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ({"units": 9}, "units is 8 in model 1 and 9 in model 3; take models of one run"),
        ({"wiring": "none"}, "wiring is 'luong' in model 1 and 'none' in model 3"),
        ({"attention": "additive"}, "attention.score is 'DotScore' in model 1 and 'AdditiveScore' in model 3"),
        ({"attention": Attention("scaled-dot", heads=2)}, "attention.heads is 1 in model 1 and 2 in model 3"),
        ({"attention": "dot"}, "attention.score.scaled is True in model 1 and False in model 3"),
        ({"dtype": "mixed_bfloat16"}, "dtype is 'float32' in model 1 and 'mixed_bfloat16' in model 3"),
    ],
)
def test_models_of_other_architectures_are_refused_by_the_first_difference(rng, models, arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        averaged([*models[:2], new_model(rng, **arguments)])


def test_an_average_of_nothing_is_refused():
    with pytest.raises(InputError, match="needs one model at least"):
        averaged([])


def test_text_processors_that_differ_are_refused_by_side_and_id(run, models, text, tmp_path):
    other = learn_text_processor(["abcdefh"], "characters")
    Translator(models[1], text, other).save(tmp_path / "other")
    sentence = "on the target side of .*run and .*other, id 10 is 'g' in the one and 'h' in the other"
    with pytest.raises(InputError, match=sentence):
        average_runs([run, tmp_path / "other"], tmp_path / "average")
    assert not (tmp_path / "average").exists()


def test_a_folder_of_another_version_is_refused(run, models, text, tmp_path):
    Translator(models[1], text, text).save(tmp_path / "old")
    (tmp_path / "old" / "about.json").write_text('{"format": 0, "versions": {}}')
    with pytest.raises(InputError, match=r"old was written by keras_attn an early version \(format 0\)"):
        average_runs([run, tmp_path / "old"], tmp_path / "average")


@pytest.mark.parametrize(
    "paths, options, sentence",
    [
        (["nowhere"], {}, "nowhere is neither a .keras file nor a folder with a model.keras"),
        (["run/none.keras"], {}, "none.keras is neither a .keras file nor a folder"),
        (["run", "run/model.keras"], {"last": 2}, "model.keras is one model, but --last is for the epochs of a run"),
        (["run"], {"last": 4}, "--last is 4, but .*run holds 3 kept epochs; train with --keep-epochs 4"),
        (["run"], {"last": 0}, "--last is 0, but it must be 1 or more"),
        (["alone.keras"], {}, "None of the models has source_text.json and target_text.json beside it"),
    ],
)
def test_what_cannot_be_averaged_is_refused_in_one_sentence(run, models, tmp_path, paths, options, sentence):
    models[0].save(tmp_path / "alone.keras")
    (tmp_path / "run").symlink_to(run)
    with pytest.raises(InputError, match=sentence):
        average_runs([tmp_path / path for path in paths], tmp_path / "average", **options)
    assert not (tmp_path / "average").exists()


def test_another_model_is_kept_unless_it_may_be_overwritten(run, models, text, tmp_path):
    folder = tmp_path / "another"
    Translator(models[2], text, text).save(folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "metrics.json").write_text("{}")
    with pytest.raises(InputError, match="another holds metrics.json of another model; add --overwrite"):
        average_runs([run], folder)
    assert_weights(Translator.load(folder).model, models[2].get_weights())
    average_runs([run], folder, overwrite=True)
    assert_weights(Translator.load(folder).model, models[0].get_weights())
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / "metrics.json").exists()  # which was of the other model


def test_text_processors_without_a_model_are_kept_too(run, tmp_path):
    (tmp_path / "source_text.json").write_text("mine")
    with pytest.raises(InputError, match="holds source_text.json of another model"):
        average_runs([run], tmp_path)
    assert (tmp_path / "source_text.json").read_text() == "mine"


def test_what_is_averaged_is_not_overwritten(run):
    with pytest.raises(InputError, match="epochs holds what the average is made from"):
        average_runs([run], run / "epochs", last=2, overwrite=True)
    with pytest.raises(InputError, match="run holds what the average is made from"):
        average_runs([run / "epochs" / "epoch-001.keras"], run, overwrite=True)


def test_a_file_is_no_folder_for_a_model(run):
    with pytest.raises(InputError, match="about.json is a file, but a model needs a folder"):
        average_runs([run], run / "about.json")
