import numpy as np
import pytest
from helpers import multiplies_bfloat16, numbers, run_python

tf = pytest.importorskip("tensorflow")

from keras_attn.products import product

SHAPES = (20, 30), (30, 40)
ALLOWED_FIRST = """
import numpy as np, tensorflow as tf
from keras_attn.products import allow_bfloat16_products, product
print(allow_bfloat16_products())
factors = np.load("factors.npz")
for turned in ((False, False), (True, False), (False, True)):
    given = [factors[name].T if turn else factors[name] for name, turn in zip(("left", "right"), turned)]
    found = product(*map(tf.constant, given), *turned)
    print(found.dtype.name, abs(found - factors["left"] @ factors["right"]).numpy().max())
"""
ALLOWED_TOO_LATE = """
import os, tensorflow as tf
before = dict(os.environ)
from keras_attn.products import allow_bfloat16_products
tf.matmul(tf.ones((2, 8, 8)), tf.ones((2, 8, 8)))
print(allow_bfloat16_products(), dict(os.environ) == before)
"""


@pytest.mark.parametrize("transpose_left", [False, True])
@pytest.mark.parametrize("transpose_right", [False, True])
def test_it_is_the_product(rng, transpose_left, transpose_right):
    left, right = (rng.normal(size=shape).astype("float32") for shape in SHAPES)
    factors = left.T if transpose_left else left, right.T if transpose_right else right
    found = product(*map(tf.constant, factors), transpose_left, transpose_right)
    np.testing.assert_allclose(numbers(found), left @ right, atol=1e-4)


@pytest.mark.slow
def test_products_round_where_they_may_and_can(rng, tmp_path):
    left, right = (rng.normal(size=shape).astype("float32") for shape in SHAPES)
    np.savez(tmp_path / "factors.npz", left=left, right=right)
    rounds, *found = run_python(ALLOWED_FIRST, cwd=tmp_path).splitlines()
    assert rounds == str(multiplies_bfloat16())
    least, most = (1e-3, 0.2) if multiplies_bfloat16() else (0, 1e-4)
    assert len(found) == 3
    for kind, error in map(str.split, found):
        assert kind == "float32" and least <= float(error) < most


@pytest.mark.slow
def test_after_the_first_product_it_is_too_late_and_changes_nothing(tmp_path):
    assert run_python(ALLOWED_TOO_LATE, cwd=tmp_path).strip() == "False True"
