"""Matrix products, the fast ones that TensorFlow has, and the one switch that makes them faster and coarser."""

import os
import sys

import keras
from keras import ops

# TensorFlow hands it on to oneDNN, and looks it up when it first multiplies a batch of matrices.
_VARIABLE = "TF_SET_ONEDNN_FPMATH_MODE"


def allow_bfloat16_products():
    """Lets float32 matrices be rounded to bfloat16 where they are multiplied, if the processor has units for that (AMX).

    Sums and everything else stay in float32. It holds for the whole process from then on, and cannot be taken back.

    Returns:
        Whether products round now. They do not without such units, nor if the process has multiplied before.
    """
    import tensorflow as tf

    os.environ[_VARIABLE] = "BF16"
    one = tf.ones((1, 1))
    rounds = bool(product(one + 2.0**-10, one) == 1)  # bfloat16 has no number between 1 and 1 + 2^-7
    if not rounds:
        del os.environ[_VARIABLE]
    return rounds


def let_products_round():
    """Lets products round for the rest of the process, see `allow_bfloat16_products`, or says that they do not."""
    if not allow_bfloat16_products():
        print(
            "bfloat16_products changes nothing here: the processor has no units for them (AMX), or this process has "
            "multiplied matrices before.",
            file=sys.stderr,
        )


def may_round():
    """Whether `allow_bfloat16_products` was called and has an effect."""
    return os.environ.get(_VARIABLE) == "BF16"


def product(left, right, transpose_left=False, transpose_right=False):
    """`left @ right` of two matrices, under any backend; of those that differ in type, as `keras.ops.matmul` has it."""
    if keras.backend.backend() != "tensorflow" or ops.dtype(left) != ops.dtype(right):
        turned = lambda matrix, turn: ops.transpose(matrix) if turn else matrix
        return ops.matmul(turned(left, transpose_left), turned(right, transpose_right))
    import tensorflow as tf

    if not may_round():
        return tf.matmul(left, right, transpose_left, transpose_right)
    # Only products of batches are told that they may round, so this is a batch of one.
    batch = tf.raw_ops.BatchMatMulV2(x=left[None], y=right[None], adj_x=transpose_left, adj_y=transpose_right)
    return tf.squeeze(batch, axis=0)


def batch_product(left, right, transpose_right=False):
    """`left @ right` of two batches of matrices, under any backend and of any kind.

    One row of float32 on the left, such as a query, is multiplied by `BatchMatMulV3`, which TensorFlow does itself. What it
    takes otherwise is oneDNN's product, which wakes other threads even for so little work, and takes several times as long.
    """
    if left.shape[-2] != 1 or not _are_tensorflows_float32(left, right):
        return ops.matmul(left, ops.swapaxes(right, -1, -2) if transpose_right else right)
    import tensorflow as tf

    @tf.custom_gradient  # the operation has none of its own
    def of(left, right):
        def gradients(d_product):
            d_left = tf.matmul(d_product, right, transpose_b=not transpose_right)
            pair = (d_product, left) if transpose_right else (left, d_product)
            return _summed_like((d_left, tf.matmul(*pair, transpose_a=True)), (left, right))

        return tf.raw_ops.BatchMatMulV3(x=left, y=right, Tout=left.dtype, adj_y=transpose_right), gradients

    return of(left, right)


def _summed_like(gradients, factors):
    """The gradients in the shapes of the two factors, one of which may stand for several matrices of the other."""
    import tensorflow as tf

    leading = [factor.shape[:-2] for factor in factors]
    if all(shape.is_fully_defined() for shape in leading) and leading[0] == leading[1]:
        return gradients
    shapes = [tf.shape(factor) for factor in factors]
    repeated = tf.raw_ops.BroadcastGradientArgs(s0=shapes[0][:-2], s1=shapes[1][:-2])
    return [tf.reshape(tf.reduce_sum(each, axes), shape) for each, axes, shape in zip(gradients, repeated, shapes)]


def _are_tensorflows_float32(*tensors):
    return keras.backend.backend() == "tensorflow" and all(ops.dtype(tensor) == "float32" for tensor in tensors)
