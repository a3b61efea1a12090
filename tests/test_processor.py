import os
import platform

import pytest
from helpers import run_python

tf = pytest.importorskip("tensorflow")

from keras_attn.training import processor
from keras_attn.training.processor import prepare_processor


@pytest.fixture
def told(monkeypatch):
    """What TensorFlow is told about threads; so far nothing."""
    numbers = []
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 0)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", numbers.append)
    return numbers


@pytest.mark.parametrize("cores, threads", [(1, [1]), (2, [1]), (4, []), (None, [])])
def test_few_cores_have_one_thread_an_operation(told, monkeypatch, cores, threads):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    prepare_processor("float32")
    assert told == threads


def test_what_the_user_said_about_threads_stands(told, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    prepare_processor("float32")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS")
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 2)
    prepare_processor("float32")
    assert told == []


def test_once_tensorflow_has_begun_it_goes_on_as_it_did(told, monkeypatch):
    def refuse(_number):
        raise RuntimeError("Intra op parallelism cannot be modified after initialization.")

    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", refuse)
    prepare_processor("float32")


@pytest.mark.parametrize("rounds", [False, True])
def test_rounding_that_does_not_happen_is_said(told, monkeypatch, capsys, rounds):
    monkeypatch.setattr(processor, "allow_bfloat16_products", lambda: rounds)
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
