"""Layers and training of PyTorch; on a graphics processor its recurrent layers are cuDNN's."""

import torch
from torch import nn

from benchmarks.common import serve
from benchmarks.data import training_measurement
from benchmarks.rivals.on_gpu import fit_options, milliseconds_of, real_positions, vectors
from benchmarks.rivals.pytorch_training import Network, parameters_of, trainer

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def layer(options):
    """A function of inputs and mask, and its weights. The recurrent layers read the padding, too."""
    if options["table"] == "attention":
        attend = nn.functional.scaled_dot_product_attention
        return lambda inputs, mask: attend(inputs, inputs, inputs, attn_mask=mask[:, None]), []
    kind = {"gru": nn.GRU, "lstm": nn.LSTM}[options["table"]]
    recurrent = kind(options["units"], options["units"], batch_first=True, bidirectional=True).to(DEVICE)
    return lambda inputs, mask: recurrent(inputs)[0], list(recurrent.parameters())


def layer_measurement(options):
    call, weights = layer(options)
    inputs = torch.from_numpy(vectors(options)).to(DEVICE).requires_grad_()
    mask = torch.from_numpy(real_positions(options)).to(DEVICE)
    one_call = lambda: torch.autograd.grad(call(inputs, mask).square().sum(), [inputs, *weights])
    wait_for = lambda _: torch.cuda.synchronize() if DEVICE.type == "cuda" else None
    return lambda: {"milliseconds": milliseconds_of(one_call, wait_for, options["steps"])}


def prepare(options):
    torch.manual_seed(options["seed"])
    torch.set_float32_matmul_precision("high")  # TensorFloat-32, as JAX and cuDNN multiply
    if options["table"] != "fit":
        measure = layer_measurement(options)
    else:
        model = Network(options["units"], options["vocabulary"]).to(DEVICE)
        fit = trainer(model, options.get("precision"))
        measure = training_measurement(fit_options(options), fit, parameters_of(model))
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "cpu"
    return lambda: {**measure(), "device": device}


if __name__ == "__main__":
    serve(prepare)
