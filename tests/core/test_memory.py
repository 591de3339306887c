import ctypes
import pathlib
import sys

import keras
import numpy as np
import pytest

from keras_practices._core import memory
from keras_practices.callbacks import TrainingMonitor


def held():
    """Bytes of this process that are in memory."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return 1024 * int(line.split()[1])
    raise AssertionError("no VmRSS")


@pytest.mark.once
@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"),
    reason="only glibc keeps freed memory that can be asked for",
)
def test_freed_memory_is_given_back():
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    blocks = [library.malloc(50_000) for _ in range(2000)]
    for block in blocks:
        ctypes.memset(block, 1, 50_000)
    # The newest block lies above all others: none of them is given back by itself.
    for block in blocks[:-1]:
        library.free(block)
    before = held()
    memory.give_back()
    assert before - held() > 80e6
    library.free(blocks[-1])


@pytest.mark.once
@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_a_system_that_cannot_is_left_alone(monkeypatch, error):
    def refuses(name):
        raise error("not here")

    monkeypatch.setattr(ctypes, "CDLL", refuses)
    memory.give_back()


def test_memory_is_given_back_around_the_compilation_alone(monkeypatch):
    given = []
    monkeypatch.setattr(memory, "give_back", lambda: given.append(1))
    x, y = np.zeros((32, 3), "float32"), np.zeros((32, 1), "float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    for _ in range(2):
        model.fit(x, y, batch_size=4, verbose=0, callbacks=[TrainingMonitor()])
        assert len(given) == 2
