import threading

import keras
import numpy as np
import pytest
from helpers import disturb_weights, slow

tf = pytest.importorskip("tensorflow")

from keras_attn import AttentionSeq2Seq, MaskedCrossEntropy
from keras_attn.kernels.cores import in_halves, leaves_a_core_idle, one_thread_an_operation, two_at_a_time
from keras_attn.layers import decoder as decoder_module

SOURCE = np.array([[5, 6, 7, 3], [8, 3, 0, 0], [9, 4, 3, 0], [3, 0, 0, 0], [6, 6, 3, 0]], "int32")
TARGET = np.array([[2, 5, 6], [2, 0, 0], [2, 8, 0], [2, 7, 7], [2, 9, 0]], "int32")
LABELS = np.array([[5, 6, 3], [3, 0, 0], [8, 3, 0], [7, 7, 3], [9, 3, 0]], "int32")
ANY_NUMBER_OF_ROWS = [tf.TensorSpec([None, None], tf.int32)] * 3


@pytest.fixture
def told(monkeypatch):
    """What TensorFlow is told about threads; so far nothing."""
    numbers = []
    for kind in ("intra", "inter"):
        monkeypatch.delenv(f"TF_NUM_{kind.upper()}OP_THREADS", raising=False)
        monkeypatch.setattr(tf.config.threading, f"get_{kind}_op_parallelism_threads", lambda: 0)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", numbers.append)
    return numbers


@pytest.fixture
def one_thread(told, monkeypatch):
    """Operations have one thread each, and two cores to run on."""
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setattr("os.cpu_count", lambda: 2)


@pytest.fixture
def batches_in_halves(monkeypatch):
    """A list that grows by the number of tensors of each batch that the decoder splits."""
    split = []

    def noted(function, *batch):
        split.append(len(tf.nest.flatten(batch)))
        return in_halves(function, *batch)

    monkeypatch.setattr(decoder_module, "in_halves", noted)
    return split


def loss_and_gradients(model, rows, jit_compile=None, input_signature=ANY_NUMBER_OF_ROWS):
    @tf.function(jit_compile=jit_compile, input_signature=input_signature)
    def of(source, target, labels):
        with tf.GradientTape() as tape:
            logits = model({"source": source, "target": target}, training=True)
            loss = MaskedCrossEntropy()(labels, logits)
        weights = [weight.value for weight in model.trainable_variables]
        gradients = tape.gradient(loss, weights, unconnected_gradients="zero")
        return loss, list(map(tf.convert_to_tensor, gradients))

    return of(*(part[:rows] for part in (SOURCE, TARGET, LABELS)))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 2, 5])
def test_halves_give_what_the_whole_gives(rows, known):
    numbers = tf.reshape(tf.range(3.0 * rows), [rows, 3])

    @tf.function(input_signature=[tf.TensorSpec([rows if known else None, 3])])
    def of(numbers):
        with tf.GradientTape() as tape:
            tape.watch(numbers)
            found = in_halves(
                lambda left, right: {"sum": left + right["half"], "rows": right["whole"]},
                numbers,
                {"half": numbers / 2, "whole": numbers[:, 0]},
            )
            total = tf.reduce_sum(found["sum"] ** 2)
        return found, tape.gradient(total, numbers)

    found, gradient = of(numbers)
    np.testing.assert_array_equal(found["sum"], 1.5 * numbers)
    np.testing.assert_array_equal(found["rows"], numbers[:, 0])
    np.testing.assert_array_equal(gradient, 4.5 * numbers)


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("options", [{}, slow({"cell": "lstm", "decoder_layers": 2}), {"wiring": "none"}], ids=str)
def test_a_decoder_in_halves_has_the_loss_and_the_gradients_of_a_whole_one(
    rng, monkeypatch, one_thread, batches_in_halves, rows, options
):
    model = AttentionSeq2Seq(12, 12, units=8, **options)
    model.build()
    disturb_weights(model, rng)
    loss, gradients = loss_and_gradients(model, rows)
    assert len(batches_in_halves) == 1
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    whole, of_whole = loss_and_gradients(model, rows)
    assert len(batches_in_halves) == 1
    np.testing.assert_allclose(loss, whole, rtol=1e-6)
    for gradient, other in zip(gradients, of_whole, strict=True):
        np.testing.assert_allclose(gradient, other, atol=1e-6)


def test_a_batch_that_is_known_to_be_one_row_goes_through_keras_layers(one_thread, batches_in_halves):
    model = AttentionSeq2Seq(12, 12, units=8, cell="lstm")
    model.build()
    known, _ = loss_and_gradients(model, 1, input_signature=None)
    np.testing.assert_allclose(known, loss_and_gradients(model, 1)[0], rtol=1e-6)


@pytest.mark.slow
def test_xla_compiles_halves(rng, monkeypatch, one_thread, batches_in_halves):
    model = AttentionSeq2Seq(12, 12, units=8)
    model.build()
    loss, _ = loss_and_gradients(model, 5)
    compiled, _ = loss_and_gradients(model, 5, jit_compile=True)
    assert len(batches_in_halves) == 2
    np.testing.assert_allclose(compiled, loss, rtol=1e-5)


def test_each_half_has_a_dropout_of_its_own(one_thread, batches_in_halves):
    model = AttentionSeq2Seq(
        12, 12, units=8, dropout=0.5, wiring="none", bridge="zero"
    )  # the encoder counts for nothing
    model.build()
    alike = {"source": np.tile(SOURCE[:1], (2, 1)), "target": np.tile(TARGET[:1], (2, 1))}
    first, second = tf.function(lambda: model(alike, training=True))()
    assert len(batches_in_halves) == 1
    assert not np.array_equal(first, second)


def test_what_is_not_training_or_goes_position_by_position_stays_whole(one_thread, batches_in_halves):
    inputs = {"source": SOURCE, "target": TARGET}
    for options, training in (({}, False), ({"input_feeding": True}, True), ({"wiring": "bahdanau"}, True)):
        model = AttentionSeq2Seq(12, 12, units=8, **options)
        tf.function(model)(inputs, training=training)
    AttentionSeq2Seq(12, 12, units=8)(inputs, training=True)  # eagerly
    assert batches_in_halves == []


def test_the_same_seed_gives_the_same_run_in_halves(one_thread, batches_in_halves):
    def losses():
        keras.utils.set_random_seed(7)
        model = AttentionSeq2Seq(12, 12, units=8, dropout=0.3)
        model.compile("adam", MaskedCrossEntropy())
        inputs = {"source": SOURCE, "target": TARGET}
        return model.fit(inputs, LABELS, batch_size=2, epochs=2, verbose=0).history["loss"]

    assert losses() == losses()
    assert len(batches_in_halves) == 2


@pytest.mark.parametrize(
    ("each", "at_a_time", "cores", "idle"),
    [
        (1, None, 2, True),
        (1, 2, 2, True),
        (1, 1, 2, False),
        (2, None, 2, False),
        (None, None, 2, False),
        (1, None, 1, False),
    ],
)
def test_a_core_is_idle_where_operations_have_one_thread_and_several_may_run(
    told, monkeypatch, each, at_a_time, cores, idle
):
    for name, threads in (("INTRAOP", each), ("INTEROP", at_a_time)):
        if threads:
            monkeypatch.setenv(f"TF_NUM_{name}_THREADS", str(threads))
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    with tf.Graph().as_default():
        assert leaves_a_core_idle() is idle
    assert not leaves_a_core_idle()


def test_two_batches_are_in_work_at_a_time_and_come_in_order():
    both_are_here = threading.Barrier(2, timeout=60)

    def noted(number):
        both_are_here.wait()  # for ever, were there no other
        return -number

    assert two_at_a_time(noted, [3, 1, 4, 1]) == [-3, -1, -4, -1]


def test_one_batch_is_in_work_where_it_was_asked_for():
    assert two_at_a_time(lambda _: threading.current_thread(), [1]) == [threading.current_thread()]
    assert two_at_a_time(print, []) == []


def test_an_error_in_one_batch_ends_the_others():
    begun = []

    def failing(number):
        begun.append(number)
        raise ValueError(f"batch {number}")

    with pytest.raises(ValueError, match="batch 0"):
        two_at_a_time(failing, range(1000))
    assert len(begun) < 1000


@pytest.mark.parametrize("cores, threads", [(1, [1]), (2, [1]), (4, []), (None, [])])
def test_few_cores_have_one_thread_an_operation(told, monkeypatch, cores, threads):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    one_thread_an_operation()
    assert told == threads


def test_what_is_no_number_of_threads_says_nothing(told, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "all")
    one_thread_an_operation()
    assert told == [1]


def test_what_the_user_said_about_threads_stands(told, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    one_thread_an_operation()
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 2)
    one_thread_an_operation()
    assert told == []


def test_once_tensorflow_has_begun_it_goes_on_as_it_did(told, monkeypatch):
    def refuse(_number):
        raise RuntimeError("Intra op parallelism cannot be modified after initialization.")

    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", refuse)
    one_thread_an_operation()
