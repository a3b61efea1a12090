"""Decoding with JoeyNMT: its greedy and its beam search. Run by the interpreter that has JoeyNMT."""

import torch
from joeynmt.search import search

from benchmarks.common import serve
from benchmarks.rivals.joeynmt_training import batch_of, network, swapped, trainer
from benchmarks.sentences import BEAM, GREEDY, LENGTH_PENALTY, WIDTH, batches_to_learn_from, limit, measurement


def decoder(model, options, width):
    # Its softmax has no bias that could forbid the end token, but its searches have an option that does.
    forced = {} if options["trained"] else {"min_output_length": limit(options)}

    def decode(source):
        batch = batch_of(model, source)
        places = batch.sort_by_src_length()
        outputs, *_ = search(model, batch, limit(options), width, LENGTH_PENALTY, **forced)
        return swapped(outputs[places])

    return decode


def prepare(options):
    torch.manual_seed(options["seed"])
    model = network(options)
    if batches := batches_to_learn_from(options):
        trainer(model)(batches)
    model.eval()
    return measurement(options, {GREEDY: decoder(model, options, 1), BEAM: decoder(model, options, WIDTH)})


if __name__ == "__main__":
    serve(prepare)
