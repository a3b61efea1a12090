"""Training with JoeyNMT: its recurrent model, its batches and its loss, one step as its `TrainManager` makes it.

Its own loop cannot be measured in turn. (Whoever runs that says `scheduling: "exponential"`: `plateau`, which its recurrent
examples have, asks today's PyTorch for an option that is gone, and no scheduler at all is refused.) Run by the interpreter
that has JoeyNMT.
"""

import types

import numpy as np
import torch
from joeynmt.batch import Batch
from joeynmt.builders import build_optimizer
from joeynmt.model import build_model
from joeynmt.vocabulary import Vocabulary

from benchmarks.common import serve
from benchmarks.data import END, PADDING, START, UNKNOWN, training_measurement


def network(options):
    """The recurrent model as JoeyNMT's own examples set it up, with Luong's attention and input feeding."""
    part = {"type": "recurrent", "rnn_type": "gru", "hidden_size": options["units"], "num_layers": 1}
    embeddings = {"embedding_dim": options["units"]}
    encoder = {**part, "embeddings": embeddings, "bidirectional": True}
    decoder = {**part, "embeddings": embeddings, "attention": "luong", "input_feeding": True, "init_hidden": "bridge"}
    vocabulary = _vocabulary(options["vocabulary"])
    model = build_model({"encoder": encoder, "decoder": decoder}, vocabulary, vocabulary)
    model.loss_function = ("crossentropy", 0.0)
    return model


def _vocabulary(size):
    specials = {"unk": 0, "pad": 1, "bos": START, "eos": END}
    names = {f"{name}_token": f"<{name}>" for name in specials} | {"sep_token": None, "lang_tags": []}
    ids = {f"{name}_id": number for name, number in specials.items()}
    return Vocabulary([f"w{number}" for number in range(END + 1, size)], types.SimpleNamespace(**names, **ids))


def swapped(ids):
    """Our ids to JoeyNMT's or back: only padding and unknown are the other way round."""
    return np.where(ids == PADDING, UNKNOWN, np.where(ids == UNKNOWN, PADDING, ids))


def batch_of(model, source, target=None, labels=None):
    """JoeyNMT's batch; it cuts the target into inputs and labels itself."""
    source = torch.from_numpy(swapped(source)).long()
    both = None if target is None else torch.from_numpy(swapped(np.concatenate([target[:, :1], labels], 1))).long()
    return Batch(
        src=source,
        src_length=(source != model.pad_index).sum(1),
        src_prompt_mask=None,
        trg=both,
        trg_prompt_mask=None,
        indices=torch.arange(len(source)),
        device=torch.device("cpu"),
        pad_index=model.pad_index,
        eos_index=model.eos_index,
    )


def trainer(model):
    """A function that makes one step after the other, and returns the mean loss of all real tokens."""
    optimizer = build_optimizer({"optimizer": "adam", "learning_rate": 1e-3}, model.parameters())

    def train(part):
        model.train()
        total, count = 0.0, 0
        for source, target, labels in part:
            batch = batch_of(model, source, target, labels)
            batch.sort_by_src_length()
            loss, *_ = model(return_type="loss", **vars(batch))
            batch.normalize(loss, "tokens").backward()
            optimizer.step()
            optimizer.zero_grad()
            total, count = total + loss.item(), count + batch.ntokens
        return total / count

    return train


def prepare(options):
    torch.manual_seed(options["seed"])
    model = network(options)
    parameters = sum(weights.numel() for weights in model.parameters())
    return training_measurement(options, trainer(model), parameters)


if __name__ == "__main__":
    serve(prepare)
