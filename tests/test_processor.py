import platform

import pytest
from helpers import run_python

tf = pytest.importorskip("tensorflow")

from keras_attn import products
from keras_attn.training import processor
from keras_attn.training.processor import prepare_processor


@pytest.mark.parametrize("rounds", [False, True])
def test_rounding_that_does_not_happen_is_said(monkeypatch, capsys, rounds):
    monkeypatch.setattr(processor, "one_thread_an_operation", lambda: None)  # the tests beside this one have theirs
    monkeypatch.setattr(products, "allow_bfloat16_products", lambda: rounds)
    prepare_processor("mixed_bfloat16")
    assert capsys.readouterr().err == ""
    prepare_processor("bfloat16_products")
    assert ("bfloat16_products changes nothing here" in capsys.readouterr().err) == (not rounds)


# A thread asks for 150 MiB in pieces, writes to them, and gives them back; how often does the system have to find memory?
_FAULTS = """
import ctypes, resource, threading
from keras_attn.training.processor import prepare_processor

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def use():
    pieces = [libc.malloc(2**20) for _ in range(150)]
    for piece in pieces:
        ctypes.memset(piece, 1, 2**20)
    for piece in pieces:
        libc.free(piece)

def count():
    use()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    use()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

def twice():
    count()
    prepare_processor("float32")
    count()

thread = threading.Thread(target=twice)
thread.start()
thread.join()
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.parametrize(
    "user", [{}, {"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.top_pad=0"}]
)
def test_freed_memory_is_there_for_the_next_step_unless_the_user_wants_it_otherwise(tmp_path, monkeypatch, user):
    for name in ("GLIBC_TUNABLES", *processor._MALLOC):
        monkeypatch.delenv(name, raising=False)
    before, after = map(int, run_python(_FAULTS, cwd=tmp_path, **user).split())
    assert before > 10_000
    assert after > 10_000 if user else after < 1_000
