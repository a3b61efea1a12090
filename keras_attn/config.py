"""Everything that a training run can be told, in one place; nothing heavy is imported for it."""

import dataclasses
import math
import pathlib

from keras_attn.errors import InputError
from keras_attn.files import read_json, refuse_one_input_twice


def _option(help, default=None, **extra):
    return dataclasses.field(default=default, metadata={"help": help, **extra})


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """What to train on, what to train, and how. `None`: what suits the task (see `TASK_DEFAULTS`) and the data."""

    # Data
    data: str | None = _option("folder of the files below that have a relative name", metavar="FOLDER")
    dataset: str | None = _option("named data set: dates, spa-eng or fra-eng (default: dates)")
    tsv: str | None = _option("file with a line source<TAB>target each; plain or .gz", metavar="FILE")
    source: str | None = _option("file with one source sentence a line", metavar="FILE")
    target: str | None = _option("file with their translations, line by line", metavar="FILE")
    validation_source: str | None = _option("as --source, to choose the best epoch by", metavar="FILE")
    validation_target: str | None = _option("as --target, to choose the best epoch by", metavar="FILE")
    test_source: str | None = _option("as --source, to measure the quality on", metavar="FILE")
    test_target: str | None = _option("as --target, to measure the quality on", metavar="FILE")
    test_references: str | None = _option(
        "instead: file with lines source<TAB>answer<TAB>answer..., each answer of which is right", metavar="FILE"
    )
    reverse: bool = _option("swap source and target", False)
    pairs: int | None = _option("use no more than this many pairs", metavar="N", minimum=1)

    # Text
    source_unit: str | None = _option(
        "what a source is split into (default: subwords; characters for dates)",
        choices=("words", "characters", "subwords"),
    )
    target_unit: str | None = _option(
        "what a target is split into (default: subwords; characters for dates)",
        choices=("words", "characters", "subwords"),
    )
    vocabulary_size: int | None = _option("different ids on each side at most", metavar="N", minimum=5)
    normalization: str | None = _option(
        "Unicode form in which the model reads and writes (default: NFKD, letters and syllables taken apart, for subwords, "
        "and NFKC otherwise)",
        choices=("NFKC", "NFC", "NFKD", "NFD"),
    )
    lower_case: bool = _option("turn capitals into small letters", False)
    shared_vocabulary: bool | None = _option("learn one vocabulary from both sides (default: where both have subwords)")

    # Model
    units: int | None = _option("size of the recurrent states (default: 256; 128 for dates)", metavar="N", minimum=1)
    embedding_units: int | None = _option(
        "size of the embeddings (default: that of --units; 64 for dates)", metavar="N", minimum=1
    )
    layers: int = _option("recurrent layers of encoder and decoder each", 1, metavar="N", minimum=1)
    cell: str = _option("recurrent cell", "gru", choices=("gru", "lstm"))
    bidirectional: str | None = _option(
        "encoder layers that read both ways (default: first with --wiring gnmt, otherwise all)",
        choices=("all", "first", "none"),
    )
    bridge: str = _option(
        "what the decoder starts from: the encoder's last state through a tanh layer or as it is, the mean of its "
        "states, or zeros",
        "dense",
        choices=("dense", "copy", "mean", "zero"),
    )
    wiring: str = _option(
        "how attention and recurrent layers are joined", "luong", choices=("luong", "bahdanau", "gnmt", "none")
    )
    input_feeding: bool = _option("feed the attentional vector to the next step (with --wiring luong)", False)
    attention: str | None = _option(
        "score of a query and a key (default: scaled-dot)",
        choices=("dot", "scaled-dot", "general", "cosine", "additive", "normalized-additive", "location"),
    )
    alignment: str = _option(
        "positions that a step looks at: all, a window, or only forward",
        "global",
        choices=("global", "local-m", "local-p", "monotonic"),
    )
    window: int | None = _option("positions on each side of a local alignment's center", metavar="D", minimum=1)
    heads: int = _option("attention heads", 1, metavar="N", minimum=1)
    coverage: bool = _option("let an additive score see how much was looked at already", False)
    coverage_loss: float = _option("weight of the loss for looking twice", 0.0, metavar="X", minimum=0)
    residual: bool | None = _option("add each layer's input to its output (default: with --wiring gnmt)")
    layer_normalization: bool = _option("normalise each recurrent layer's output", False)
    dropout: float | None = _option(
        "share of units that training sets to zero (default: 0.3 for 30,000 pairs, 0.4 for few, less for many; none for dates)",
        metavar="P",
        minimum=0,
        below=1,
    )
    token_dropout: float = _option(
        "share of tokens whose embedding training sets to zero as a whole", 0.0, metavar="P", minimum=0, below=1
    )
    recurrent_dropout: float = _option(
        "share of recurrent states that training hides", 0.0, metavar="P", minimum=0, below=1
    )
    attention_dropout: float = _option(
        "share of attention weights that training sets to zero", 0.0, metavar="P", minimum=0, below=1
    )
    tied_softmax: bool | None = _option(
        "use the target embedding as the matrix of the softmax (default: with --shared-vocabulary, where --units and "
        "--embedding-units are equal)"
    )
    tied_embeddings: bool | None = _option("one embedding for both sides (default: with --shared-vocabulary)")

    # Training
    epochs: int | None = _option(
        "passes over the training pairs at most (default: 14, or as many as make 8,000 batches where that is more; "
        "4 for dates)",
        metavar="N",
        minimum=1,
    )
    monitor: str = _option(
        "the best epoch is the one with the best validation loss, or with the best outputs of greedy search for the "
        "validation sources by this measure",
        "loss",
        choices=("loss", "bleu", "chrf", "exact_match", "token_error_rate"),
    )
    patience: int | None = _option(
        "stop after this many epochs without a better one (default: a tenth of --epochs, but 3 to 8)",
        metavar="N",
        minimum=1,
    )
    batch_size: int = _option("sentences in a batch", 64, metavar="N", minimum=1)
    tokens_per_batch: int | None = _option("tokens in a batch, instead of --batch-size", metavar="N", minimum=1)
    max_length: int = _option("leave out training pairs with more tokens on a side", 200, metavar="N", minimum=1)
    learning_rate: float | None = _option(
        "highest learning rate of Adam (default: 0.001; 0.003 for dates)", metavar="X", above=0
    )
    label_smoothing: float | None = _option(
        "probability shared by the vocabulary (default: 0.1; none for dates)", metavar="P", minimum=0, below=1
    )
    weight_decay: float | None = _option(
        "share of every weight that a step takes away, times the learning rate (default: 0.2; none for dates)",
        metavar="X",
        minimum=0,
    )
    ema: float | None = _option(
        "momentum of an exponential moving average of the weights, which is what is measured and kept; 0.999 averages "
        "over about a thousand batches",
        metavar="X",
        above=0,
        below=1,
    )
    precision: str = _option(
        "of the computation in training; the others round, and are faster where the processor multiplies bfloat16: "
        "bfloat16_products (with AMX) no more than the factors of products, mixed_bfloat16 (without it) most values",
        "float32",
        choices=("float32", "bfloat16_products", "mixed_bfloat16"),
    )
    keep_epochs: int = _option(
        "keep the model of each of the last N epochs, for an average or an ensemble", 0, metavar="N", minimum=0
    )
    seed: int = _option(
        "of everything random in training; the pairs and what is held out do not depend on it",
        0,
        metavar="N",
        minimum=0,
        maximum=2**32 - 1,
    )

    # Evaluation
    measures: str | None = _option(
        "what the outputs are: text (BLEU, chrF and exact match), strings (exact match), or pronunciations (error rates "
        "of words and phones) (default: text; strings for dates)",
        choices=("text", "strings", "pronunciations"),
    )
    beam: int | None = _option(
        "width of the beam that the outputs are measured with (default: 5; 1 for dates)", metavar="N", minimum=1
    )
    length_penalty: float = _option("GNMT's, of that beam", 1.0, metavar="X", minimum=0)
    bleu_tokenizer: str = _option(
        "sacrebleu's tokenizer; none for tokenised text", "13a", choices=("13a", "intl", "char", "zh", "none")
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            _check(flag(field.name), getattr(self, field.name), field.metadata)
        _check_data(self)
        _check_model(self)

    def resolved(self):
        """The configuration with every `None` that the task decides filled in."""
        dataset = "dates" if _of_dates(self) else self.dataset
        config = dataclasses.replace(self, dataset=dataset)
        config = _filled(config, **TASK_DEFAULTS["dates" if dataset == "dates" else "text"])
        subwords = config.source_unit == config.target_unit == "subwords"
        config = _filled(config, embedding_units=config.units, shared_vocabulary=subwords)
        tied = config.shared_vocabulary
        return _filled(config, tied_embeddings=tied, tied_softmax=tied and config.units == config.embedding_units)

    def suited_to(self, pairs, batches):
        """The configuration with every `None` filled in that depends on the number of training pairs and batches."""
        config = _filled(
            self,
            epochs=max(_EPOCHS, math.ceil(_UPDATES / batches)),
            dropout=round(min(_MOST_DROPOUT, _DROPOUT * (_OF_PAIRS / pairs) ** 0.5), 2),
        )
        least, most = _PATIENCE
        return _filled(config, patience=min(most, max(least, config.epochs // 10)))

    @property
    def task(self):
        """A short name of what is trained on, for the folder of the run."""
        return self.dataset or pathlib.Path(self.target if self.tsv is None else self.tsv).name.split(".")[0]

    def to_dict(self):
        return dataclasses.asdict(self)


# The names that an option with a choice accepts, by field.
CHOICES = {
    field.name: field.metadata["choices"] for field in dataclasses.fields(TrainingConfig) if "choices" in field.metadata
}

# The fields that decide which pairs there are and what is held out.
OF_PAIRS = (
    "data", "dataset", "tsv", "source", "target", "validation_source", "validation_target", "test_source",
    "test_target", "test_references", "reverse", "pairs",
)  # fmt: skip

# The fields that say something about the attention alone.
OF_ATTENTION = ("attention", "alignment", "window", "heads", "coverage", "coverage_loss", "attention_dropout")

# Of a hundred thousand sentences fourteen passes teach more than ten, and a few thousand need more to see enough batches.
_EPOCHS, _UPDATES = 14, 8_000

# With many short passes it is chance that three in a row bring nothing better.
_PATIENCE = 3, 8

# What keeps a model from learning a few pairs by heart keeps it from learning many at all.
_DROPOUT, _OF_PAIRS, _MOST_DROPOUT = 0.3, 30_000, 0.4

# What experiments on the built-in dates and on five to a hundred thousand sentence pairs taught.
TASK_DEFAULTS = {
    "dates": {
        "source_unit": "characters",
        "target_unit": "characters",
        "units": 128,
        "embedding_units": 64,
        "dropout": 0.0,
        "epochs": 4,
        "learning_rate": 3e-3,
        "label_smoothing": 0.0,
        "weight_decay": 0.0,
        "measures": "strings",
        "beam": 1,
    },
    "text": {
        "source_unit": "subwords",
        "target_unit": "subwords",
        "units": 256,
        "learning_rate": 1e-3,
        "label_smoothing": 0.1,
        "weight_decay": 0.2,
        "measures": "text",
        "beam": 5,
    },
}


def read_config(path):
    """The configuration of an earlier run.

    Args:
        path: its `config.json`.

    Returns:
        `TrainingConfig`.

    Raises:
        InputError: the file is missing, not whole or of another version.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path.parent} holds no training run, as there is no {path.name}; give the folder of one.")
    record = read_json(path)
    try:
        return TrainingConfig(**record["train"])
    except (KeyError, TypeError) as error:
        writer = record.get("versions", {}).get("keras_attn")
        raise InputError(
            f"{path} was written by keras_attn {writer} and has other options ({error}); train anew."
        ) from error


def resumed_config(path, given):
    """The configuration of a run that is to go on, if what is given now does not contradict it.

    Args:
        path: its `config.json`.
        given: a dictionary of the fields that were given now.

    Raises:
        InputError: see `read_config`; or a field differs.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise InputError(f"{path.parent} holds no run to resume; leave out --resume to start one.")
    config = read_config(path)
    for name, value in given.items():
        if getattr(config, name) != value:
            raise InputError(
                f"{flag(name)} is {value!r}, but the run in {path.parent} has {getattr(config, name)!r}; resume it "
                f"as it is, or choose another --output."
            )
    return config


def _filled(config, **defaults):
    """The configuration with these values where it has none."""
    return dataclasses.replace(
        config, **{name: value for name, value in defaults.items() if getattr(config, name) is None}
    )


def _check(flag, value, limits):
    if value is None:
        return
    if "choices" in limits and value not in limits["choices"]:
        raise InputError(f"{flag} is {value!r}, but only {', '.join(limits['choices'])} are known.")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{flag} is {value}, but it must be a finite number.")
    if "minimum" in limits and value < limits["minimum"]:
        raise InputError(f"{flag} is {value}, but it must be {limits['minimum']} or more.")
    if "maximum" in limits and value > limits["maximum"]:
        raise InputError(f"{flag} is {value}, but it must be {limits['maximum']} or less.")
    if "above" in limits and value <= limits["above"]:
        raise InputError(f"{flag} is {value}, but it must be above {limits['above']}.")
    if "below" in limits and value >= limits["below"]:
        raise InputError(f"{flag} is {value}, but it must be below {limits['below']}.")


def _of_dates(config):
    nothing_else = config.dataset is None and config.tsv is None and config.source is None
    return nothing_else or config.dataset == "dates"


def _check_data(config):
    for first in ("source", "validation_source", "test_source"):
        second = first.replace("source", "target")
        if (getattr(config, first) is None) != (getattr(config, second) is None):
            raise InputError(f"{flag(first)} and {flag(second)} belong together; give both files or neither.")
    places = [name for name in ("dataset", "tsv", "source") if getattr(config, name) is not None]
    if config.test_references and config.test_source:
        raise InputError("--test-source and --test-references both say what to test on; give one of them.")
    if config.test_references and config.reverse:
        raise InputError("--test-references has answers on one side only, so --reverse cannot turn it round.")
    if len(places) > 1:
        raise InputError(f"{' and '.join(map(flag, places))} both say where the pairs are; give one of them.")
    refuse_one_input_twice({flag(name): getattr(config, name) for name in OF_PAIRS})
    files = ("tsv", "source", "validation_source", "test_source", "test_references")
    if config.data is not None and not any(getattr(config, name) for name in files):
        raise InputError("--data is the folder of files, but none is named; add --tsv or --source, or leave it out.")
    for name in ("validation_source", "test_source", "test_references"):
        if _of_dates(config) and getattr(config, name) is not None:
            raise InputError(
                f"{flag(name)} is for pairs from files, but dates come without any; leave it out, or give --tsv or "
                f"--source."
            )


def _check_model(config):
    if config.wiring == "none":
        for name in OF_ATTENTION:
            if getattr(config, name) != getattr(TrainingConfig, name):
                raise InputError(
                    f"--wiring none has no attention, so {flag(name)} does nothing; leave one of them out."
                )
    if config.window and not config.alignment.startswith("local"):
        raise InputError(
            f"--window is for a local alignment, but --alignment is {config.alignment}; choose local-m or local-p."
        )
    if config.coverage and config.attention not in ("additive", "normalized-additive"):
        raise InputError(
            f"--coverage goes into an additive score, but --attention is {config.attention or 'scaled-dot'}; choose "
            f"additive or normalized-additive."
        )
    units = {config.source_unit, config.target_unit}
    if config.shared_vocabulary and None not in units and len(units) > 1:
        raise InputError(
            f"--shared-vocabulary needs one unit, but the source has {config.source_unit} and the target "
            f"{config.target_unit}; make --source-unit and --target-unit equal."
        )
    if config.tied_embeddings and config.shared_vocabulary is False:  # not `None`, which is decided later
        raise InputError("--tied-embeddings needs one vocabulary for both sides; add --shared-vocabulary.")


def flag(name):
    """The option of the command line for an argument of this name."""
    return "--" + name.replace("_", "-")
