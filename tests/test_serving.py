"""What `docs/serving.md` shows must work as it stands there; a session in this process stands for TensorFlow Serving."""

import concurrent.futures
import json
import pathlib
import re
import shlex

import keras
import numpy as np
import pytest
from helpers import run_python

pytest.importorskip("tensorflow_text")
pytest.importorskip("tensorflow_serving", reason="the protocol buffers of tensorflow-serving-api are not installed")

import grpc
import tensorflow as tf
from google.protobuf import json_format, text_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_status_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from keras_attn import AttentionSeq2Seq, MaskedCrossEntropy, Translator, batches, learn_text_processor
from keras_attn.cli import main

GUIDE = (pathlib.Path(__file__).parents[1] / "docs" / "serving.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE, re.DOTALL)

LEFT_OUT = "..."

# The two pairs that the guide's answers are about: little enough to be learned by heart.
PAIRS = [("25 décembre 1997", "1997-12-25"), ("3 May 2024", "2024-05-03")]
TEXTS, TARGETS = map(list, zip(*PAIRS))


def command(first_word):
    """The words of the first command in the guide that begins so."""
    (line, *_) = [text for language, text in BLOCKS if language == "bash" and text.startswith(first_word)]
    return shlex.split(line)


def after(*phrases):
    """The first block after these phrases, the one after the other."""
    rest = GUIDE
    for phrase in phrases:
        _, found, rest = rest.partition(phrase)
        assert found, phrase
    return re.search(r"```\w+\n(.*?)```", rest, re.DOTALL)[1]


def with_gaps(text):
    return json.loads(text.replace(LEFT_OUT, json.dumps(LEFT_OUT)))


# Each request over REST with the answer below it.
REST = [
    (json.loads(re.search(r"-d '(.*)'", text)[1]), with_gaps(BLOCKS[position + 1][1]))
    for position, (_, text) in enumerate(BLOCKS)
    if "-d '" in text
]


def signature_of(body):
    return body.get("signature_name", "serving_default")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the guide's first command has been run, on a translator that knows the two pairs by heart."""
    keras.utils.set_random_seed(0)
    source_text, target_text = (learn_text_processor(texts, "characters") for texts in (TEXTS, TARGETS))
    model = AttentionSeq2Seq(source_text.vocabulary_size, target_text.vocabulary_size, units=32)
    model.compile(keras.optimizers.Adam(0.02), MaskedCrossEntropy())
    model.fit(batches(PAIRS, source_text, target_text).repeat(60), shuffle=False, verbose=0)
    folder = tmp_path_factory.mktemp("serving")
    run = folder / "runs" / "dates"
    Translator(model, source_text, target_text, max_length=20).save(run)
    run.joinpath("config.json").write_text(json.dumps({"task": "dates"}))
    run.joinpath("metrics.json").write_text(json.dumps(json.loads(after("model.json", "model.json"))["quality"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert not main(command("keras-attn export")[1:])
    return folder


class Server:
    """What TensorFlow Serving does with a request: a session feeds and fetches the tensors that the signature names.

    Source: `PreProcessPrediction` in `predict_util.cc` and `GetInputValues` in TensorFlow's `cc/saved_model/util.cc`.
    """

    def __init__(self, export):
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self.session, ["serve"], str(export))
        self.signatures = {name: found for name, found in loaded.signature_def.items() if found.method_name}

    def predict(self, name, inputs, output_filter=()):
        """`{input name: TensorProto}` to `{output name: array}`."""
        signature = self.signatures[name]
        assert set(inputs) <= set(signature.inputs)
        given, feeds = {**signature.defaults, **inputs}, {}
        for alias, info in signature.inputs.items():
            assert given[alias].dtype == info.dtype, alias
            feeds[info.name] = tf.make_ndarray(given[alias])
            assert tf.TensorShape(info.tensor_shape).is_compatible_with(feeds[info.name].shape), alias
        wanted = {alias: signature.outputs[alias].name for alias in output_filter or signature.outputs}
        return self.session.run(wanted, feeds)


@pytest.fixture(scope="module")
def server(folder):
    # Where the guide's command mounts them, TensorFlow Serving would find `dates/1`.
    server = Server(folder / "served" / "dates" / "1")
    yield server
    server.session.close()


def read_inputs(body, signature):
    """JSON to tensors, in the columnar format.

    Source: `FillTensorMapFromInputsMap` in `json_tensor.cc` of TensorFlow Serving; it has no defaults.
    """
    assert set(body["inputs"]) == set(signature.inputs)
    return {name: tf.make_tensor_proto(value, signature.inputs[name].dtype) for name, value in body["inputs"].items()}


def write_outputs(outputs):
    """Tensors to JSON: an object, or the bare value of the only output."""
    plain = json.loads(json.dumps({name: array.tolist() for name, array in outputs.items()}, default=bytes.decode))
    return {"outputs": plain if len(plain) > 1 else next(iter(plain.values()))}


def assert_shown(shown, real, exact):
    """That an answer is of the form shown, `...` being one item or more, and where `exact` has the strings shown."""
    assert type(shown) is type(real)
    if isinstance(shown, dict):
        assert shown.keys() == real.keys()
        for name in shown:
            assert_shown(shown[name], real[name], exact)
    elif isinstance(shown, list):
        if LEFT_OUT in shown:
            gap = shown.index(LEFT_OUT)
            behind = len(shown) - gap - 1
            assert len(real) > gap + behind
            shown, real = shown[:gap] + shown[gap + 1 :], real[:gap] + real[len(real) - behind :]
        assert len(shown) == len(real)
        for one_shown, one_real in zip(shown, real):
            assert_shown(one_shown, one_real, exact)
    elif isinstance(shown, str) and exact:
        assert shown == real


def test_names_folders_and_ports_are_the_same_in_all_commands():
    docker = command("docker run")
    values = dict(zip(docker, docker[1:]))
    exported = pathlib.Path(command("keras-attn export")[-1])
    name = values["--env"].removeprefix("MODEL_NAME=")
    assert exported.name.isdigit() and exported.parent.name == name
    assert values["--volume"] == f"$PWD/{exported.parent}:/models/{name}:ro"
    assert {word for word in docker if re.fullmatch(r"\d+:\d+", word)} == {"8500:8500", "8501:8501"}
    addresses = set(re.findall(r"http://\S+", GUIDE))
    assert addresses == {f"http://localhost:8501/v1/models/{name}{end}" for end in ("", ":predict")}
    image, version = docker[-1].split(":")
    assert image == "tensorflow/serving"
    assert tuple(map(int, version.split(".")[:2])) >= tuple(map(int, tf.__version__.split(".")[:2]))


def test_the_state_shown_is_one_that_the_server_has():
    state = json_format.Parse(after("v1/models/dates\n```"), get_model_status_pb2.GetModelStatusResponse())
    (version,) = state.model_version_status
    assert version.version == int(command("keras-attn export")[-1].split("/")[-1])
    assert version.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE


def test_there_is_a_request_over_rest_to_every_signature():
    named = re.findall(r"\n\| `(\w+)` \| `texts`", GUIDE)
    assert sorted(signature_of(body) for body, _ in REST) == sorted(named)


def test_the_numbers_shown_fit_together():
    shown = {signature_of(body): (body["inputs"], answer["outputs"]) for body, answer in REST}
    inputs, outputs = shown["beam"]
    tokens = len(TARGETS[0]) + 1  # the end token
    penalty = ((5 + tokens) / 6) ** inputs["length_penalty"]  # Wu et al. 2016, equation 14
    (scores,) = np.array(outputs["scores"])
    np.testing.assert_allclose(scores, np.array(outputs["log_probabilities"])[0] / penalty, atol=1e-4)
    assert (np.diff(scores) < 0).all()
    _, outputs = shown["score"]
    expected = np.exp(-np.array(outputs["log_probabilities"]) / tokens)
    np.testing.assert_allclose(outputs["perplexities"], expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("body, shown", REST, ids=[signature_of(body) for body, _ in REST])
def test_requests_over_rest_fit_their_signature_and_are_answered_as_shown(server, body, shown):
    name = signature_of(body)
    outputs = server.predict(name, read_inputs(body, server.signatures[name]))
    # A model that knows two pairs has its own opinion of the second best.
    assert_shown(shown, write_outputs(outputs), exact=name != "beam")
    if "translations" in outputs:
        best = [PAIRS[TEXTS.index(text)][1] for text in body["inputs"]["texts"]]
        assert [text.decode() for text in outputs["translations"].reshape(len(best), -1)[:, 0]] == best


@pytest.mark.slow
def test_a_number_out_of_range_is_refused_with_the_sentence_shown(server):
    sentence = re.search(r"status 400 and a sentence such as `(.*?)`", GUIDE)[1]
    inputs = {"texts": tf.make_tensor_proto(TEXTS), "n": tf.make_tensor_proto(6)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(sentence)):
        server.predict("beam", inputs)


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers over gRPC and keeps the last answer."""

    def __init__(self, server):
        self.server = server

    def Predict(self, request, context):
        spec = request.model_spec
        assert spec.name == "dates"
        outputs = self.server.predict(spec.signature_name, request.inputs, request.output_filter)
        spec.version.value = 1
        infos = self.server.signatures[spec.signature_name].outputs
        tensors = {name: tf.make_tensor_proto(array, infos[name].dtype) for name, array in outputs.items()}
        self.answer = predict_pb2.PredictResponse(model_spec=spec, outputs=tensors)
        return self.answer


@pytest.fixture
def service(server):
    service = Service(server)
    grpc_server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, grpc_server)
    service.address = f"localhost:{grpc_server.add_insecure_port('localhost:0')}"
    grpc_server.start()
    yield service
    grpc_server.stop(None).wait()


@pytest.mark.slow
def test_the_grpc_client_runs_as_printed(service, capsys):
    code = after("## gRPC")
    assert code.count("localhost:8500") == 1
    names = {}
    exec(compile(code.replace("localhost:8500", service.address), "serving.md", "exec"), names)
    names["channel"].close()
    real, shown = (text.split() for text in (capsys.readouterr().out, after("## gRPC", "```python", "```\n")))
    assert real[0] == shown[0] == TARGETS[0] and len(real) == len(shown) == 2 * 3
    assert all(map(float, real[1::2])) and all(map(float, shown[1::2]))

    answer = text_format.Parse(after("a `PredictResponse`"), predict_pb2.PredictResponse())
    assert answer.model_spec == service.answer.model_spec
    assert set(answer.outputs) == set(service.answer.outputs)
    for name, tensor in service.answer.outputs.items():
        assert answer.outputs[name].dtype == tensor.dtype
        assert tf.make_ndarray(answer.outputs[name]).shape == tf.make_ndarray(tensor).shape == (2, 3)
    best = [tf.make_ndarray(found.outputs["translations"])[:, 0].tolist() for found in (answer, service.answer)]
    assert best == [[text.encode() for text in TARGETS]] * 2


@pytest.mark.slow
def test_the_defaults_are_those_named(folder, server, monkeypatch):
    asked, options = re.search(r"exported search \((.*?)\s+after\s+`keras-attn export (.*?)`\)", GUIDE).groups()
    otherwise = re.search(r"of greedy search (.*?);", GUIDE)[1]
    monkeypatch.chdir(folder)
    assert not main(["export", "--model", "runs/dates", "--output", "again", *options.split()])
    saved = saved_model_pb2.SavedModel.FromString((folder / "again" / "saved_model.pb").read_bytes())
    for signature, named in ((saved.meta_graphs[0].signature_def, asked), (server.signatures, otherwise)):
        found = [tf.make_ndarray(signature["beam"].defaults[name]) for name in ("width", "n", "length_penalty")]
        np.testing.assert_allclose(found, [float(number) for number in re.split(", | and ", named)])


def table(head):
    """The rows of the table whose first column is called so, each a list of cells."""
    rows = GUIDE.split(f"| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows]


@pytest.mark.slow
def test_the_tables_list_what_the_signatures_take_and_give(server):
    outputs = {name: (kind, shape.count("batch") + shape.count("length")) for name, kind, shape, _ in table("output")}
    outputs = {name.strip("`"): found for name, found in outputs.items()}
    listed = {name.strip("`"): [re.findall("`(.*?)`", cell) for cell in cells] for name, *cells in table("signature")}
    assert set(listed) == set(server.signatures)
    for name, signature in server.signatures.items():
        inputs, given = listed[name]
        if given == ["serving_default", "n"]:
            given = listed["serving_default"][1]
        assert set(inputs) == set(signature.inputs)
        assert set(given) == set(signature.outputs)
        for output, info in signature.outputs.items():
            kind, rank = outputs[output]
            assert tf.as_dtype(info.dtype).name == kind
            assert len(info.tensor_shape.dim) == rank + (name == "beam" and output != "source_tokens")


@pytest.mark.slow
def test_the_shorter_is_padded_with_empty_strings_and_zeros(server):
    pair = {"texts": tf.make_tensor_proto(TEXTS), "targets": tf.make_tensor_proto([TARGETS[0], "2024"])}
    outputs = {**server.predict("attend", pair), **server.predict("score", pair)}
    source = len(TEXTS[1]) + 1  # the end token
    assert outputs["attention"].shape == (2, len(TARGETS[0]), len(TEXTS[0]) + 1)
    assert (outputs["source_tokens"][1, source:] == b"").all() and (outputs["source_tokens"][1, :source] != b"").all()
    assert (outputs["tokens"][1] == [b"2", b"0", b"2", b"4", *[b""] * 6]).all()
    assert not outputs["attention"][1, :, source:].any() and not outputs["attention"][1, 4:].any()
    np.testing.assert_allclose(outputs["attention"][1, :4].sum(-1), 1, atol=1e-5)
    assert not outputs["token_log_probabilities"][1, 4:].any() and outputs["token_log_probabilities"][1, :4].all()


@pytest.mark.slow
def test_requests_to_all_but_beam_can_be_joined_into_batches(server):
    """As far as the signatures go: each input and each output has a row for each text."""
    for name, signature in server.signatures.items():
        assert (name == "beam") == any(not info.tensor_shape.dim for info in signature.inputs.values())
        inputs = {"texts": tf.make_tensor_proto(TEXTS), "targets": tf.make_tensor_proto(TARGETS)}
        outputs = server.predict(name, {given: inputs[given] for given in set(inputs) & set(signature.inputs)})
        assert all(len(array) == len(TEXTS) for array in outputs.values())


@pytest.mark.slow
def test_the_warm_up_has_a_request_to_each_signature_that_can_be_batched(folder, server):
    (path,) = [folder / "served/dates/1" / found for found in re.findall(r"`(assets\.extra/\w+)`", GUIDE)]
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    assert all(log.WhichOneof("log_type") == "predict_log" for log in logs)
    requests = {log.predict_log.request.model_spec.signature_name: log.predict_log.request for log in logs}
    assert len(records) == len(requests) and set(requests) == set(server.signatures) - {"beam"}
    for name, request in requests.items():
        outputs = server.predict(name, request.inputs)
        assert outputs["translations" if "translations" in outputs else "tokens"].size


@pytest.mark.slow
def test_the_export_says_of_itself_what_is_shown(folder):
    shown = json.loads(after("model.json", "model.json"))
    about = json.loads((folder / "served/dates/1/assets/model.json").read_text(encoding="utf-8"))
    measured_elsewhere = ("vocabulary_size", *shown["versions"])

    def rest(entry):
        if not isinstance(entry, dict):
            return entry
        return {name: ... if name in measured_elsewhere else rest(value) for name, value in entry.items()}

    assert rest(about) == rest(shown)


@pytest.mark.slow
def test_it_works_without_a_server_as_printed(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    code = after("## Without a server")
    exec(compile(code, "serving.md", "exec"), {})
    assert capsys.readouterr().out == after("## Without a server", "```python", "```\n")


@pytest.mark.slow
def test_the_signature_is_listed_as_shown(folder):
    _, *arguments = command("saved_model_cli show")
    code = "from tensorflow.python.tools import saved_model_cli; saved_model_cli.main()"
    shown, left_out = after("saved_model_cli show", "```\n").split(LEFT_OUT)
    assert run_python(code, *arguments, cwd=folder).startswith(shown) and not left_out.strip()
