"""Decoding with plain PyTorch: greedily, in a loop that stops when every sentence of the batch has ended."""

import torch

from benchmarks.common import serve
from benchmarks.data import END, PADDING, START
from benchmarks.rivals.pytorch_training import Network, trainer
from benchmarks.sentences import GREEDY, batches_to_learn_from, limit, measurement


@torch.inference_mode()
def greedy(model, source, limit):
    source = torch.from_numpy(source).long()
    memory, _ = model.encoder(model.source(source))
    keys = model.keys(memory).transpose(1, 2)
    padding = (source == PADDING)[:, None]
    tokens, state, written = torch.full((len(source), 1), START), None, []
    ended = torch.zeros(tokens.shape, dtype=torch.bool)
    while len(written) < limit and not ended.all():
        hidden, state = model.decoder(model.target(tokens), state)
        scores = hidden @ keys / hidden.shape[-1] ** 0.5
        weights = scores.masked_fill(padding, -1e9).softmax(-1)
        logits = model.logits(torch.tanh(model.attentional(torch.cat([hidden, weights @ memory], -1))))
        logits[:, :, [PADDING, START]] = -torch.inf
        tokens = logits.argmax(-1)
        written.append(tokens)
        ended |= tokens == END
    return torch.cat(written, 1).numpy()


def prepare(options):
    torch.manual_seed(options["seed"])
    model = Network(options["units"], options["vocabulary"])
    trainer(model)(batches_to_learn_from(options))
    if not options["trained"]:
        model.logits.bias.data[END] = -1e9
    return measurement(options, {GREEDY: lambda source: greedy(model.eval(), source, limit(options))})


if __name__ == "__main__":
    serve(prepare)
