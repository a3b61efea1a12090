"""The fast ways through what takes the time: what layers, losses and searches compute, in fewer and larger steps.

Each has a plain way that it is tested to be equal to. Nothing here is a layer or knows one; TensorFlow is imported late, so that
layers work without it.
"""
