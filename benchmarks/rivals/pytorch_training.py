"""Training with plain PyTorch: the same network, with its own recurrent layers."""

import torch
from torch import nn

from benchmarks.common import serve
from benchmarks.data import PADDING, real_tokens, training_measurement


class Network(nn.Module):
    """Embeddings, a bidirectional GRU, a GRU that asks, scaled dot-product attention, and the softmax's matrix."""

    def __init__(self, units, vocabulary):
        super().__init__()
        self.source = nn.Embedding(vocabulary, units)
        self.target = nn.Embedding(vocabulary, units)
        self.encoder = nn.GRU(units, units, batch_first=True, bidirectional=True)
        self.decoder = nn.GRU(units, units, batch_first=True)
        self.keys = nn.Linear(2 * units, units, bias=False)
        self.attentional = nn.Linear(3 * units, units)
        self.logits = nn.Linear(units, vocabulary)

    def forward(self, source, target):
        memory, _ = self.encoder(self.source(source))
        hidden, _ = self.decoder(self.target(target))
        scores = hidden @ self.keys(memory).transpose(1, 2) / hidden.shape[-1] ** 0.5
        weights = scores.masked_fill((source == PADDING)[:, None], -1e9).softmax(-1)
        return self.logits(torch.tanh(self.attentional(torch.cat([hidden, weights @ memory], -1))))


def trainer(model, precision=None):
    """A function that makes a step on each batch of a list, and returns the mean loss of all real tokens."""
    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def fit(batches):
        total, count = 0.0, 0
        for batch in batches:
            source, target, labels = (torch.from_numpy(ids).to(device).long() for ids in batch)
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "mixed_bfloat16"):
                logits = model(source, target)
            loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=PADDING)
            loss.backward()
            optimizer.step()
            real = real_tokens([batch])
            total, count = total + loss.detach() * real, count + real  # a number would wait for the device
        return float(total) / max(count, 1)

    return fit


def parameters_of(model):
    return sum(weights.numel() for weights in model.parameters())


def prepare(options):
    torch.manual_seed(options["seed"])
    model = Network(options["units"], options["vocabulary"])
    return training_measurement(options, trainer(model, options.get("precision")), parameters_of(model))


if __name__ == "__main__":
    serve(prepare)
