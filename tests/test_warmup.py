import pytest

pytest.importorskip("tensorflow_serving", reason="the protocol buffers of tensorflow-serving-api are not installed")

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from keras_attn.warmup import FILE, write_warmup

# The length of a field takes one byte up to 127, two up to 16383, and three beyond.
ONE_INPUT = [("translate", {"texts": tf.constant(["é" + "x" * length])}) for length in (*range(200), 20_000)]
REQUESTS = [
    *ONE_INPUT,
    ("score", {"texts": tf.constant(["ab", ""]), "targets": tf.constant(["cd", "e"])}),
    ("beam", {"texts": tf.constant([], tf.string), "n": tf.constant(3), "length_penalty": tf.constant(0.6)}),
]


def official(signature, inputs):
    """The same in the classes of `tensorflow-serving-api`."""
    request = predict_pb2.PredictRequest(
        model_spec=model_pb2.ModelSpec(name="default", signature_name=signature),
        inputs={name: tf.make_tensor_proto(tensor) for name, tensor in inputs.items()},
    )
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


@pytest.fixture
def records(tmp_path):
    write_warmup(tmp_path, REQUESTS)
    assert FILE == "assets.extra/tf_serving_warmup_requests"  # SavedModel Warmup, TensorFlow Serving's documentation
    return list(tf.data.TFRecordDataset(str(tmp_path / FILE)).as_numpy_iterator())


def test_each_record_is_read_as_the_message_that_the_official_classes_make(records):
    assert [prediction_log_pb2.PredictionLog.FromString(record) for record in records] == [
        official(*request) for request in REQUESTS
    ]


def test_records_with_one_input_are_the_same_to_the_byte(records):
    assert records[: len(ONE_INPUT)] == [official(*request).SerializeToString() for request in ONE_INPUT]
