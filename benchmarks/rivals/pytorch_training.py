"""Training with plain PyTorch: the same network, with its own recurrent layers."""

import resource
import time

import torch
from torch import nn

from benchmarks.common import serve
from benchmarks.data import PADDING, real_tokens, training_batches


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


def prepare(options):
    torch.manual_seed(options["seed"])
    model = Network(options["units"], options["vocabulary"])
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    batches = training_batches(options, options["like_length"])

    def fit(part):
        """One step after the other; the mean loss of all real tokens."""
        started, total, count = time.perf_counter(), 0.0, 0
        for batch in part:
            source, target, labels = (torch.from_numpy(ids).long() for ids in batch)
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=options.get("precision") == "mixed_bfloat16"):
                logits = model(source, target)
            loss = nn.functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=PADDING)
            loss.backward()
            optimizer.step()
            real = int((labels != PADDING).sum())
            total, count = total + loss.item() * real, count + real
        return time.perf_counter() - started, total / count

    fit(batches[: options["warm_up"]])
    rest = iter(range(options["warm_up"], len(batches), options["steps"]))

    def measure():
        at = next(rest)
        part = batches[at : at + options["steps"]]
        seconds, loss = fit(part)
        return {
            "tokens_per_second": real_tokens(part) / seconds,
            "loss": loss,
            "parameters": sum(weights.numel() for weights in model.parameters()),
            "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    return measure


if __name__ == "__main__":
    serve(prepare)
