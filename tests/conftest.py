"""What every test may take for granted: CPU, fixed seeds, a clean Keras.

One process tests one backend, the one that `KERAS_BACKEND` names. The variables
below are set before any library reads them; what stands in the environment wins.
"""

import gc
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The suite proves values, not speed: the CPU gives the same ones everywhere.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("KERAS_TORCH_DEVICE", "cpu")
# Models here are tiny; more threads than this only wait for each other, and two
# backends may be tested side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ["MPLBACKEND"] = "Agg"

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "keras_practices",
    derandomize=True,
    deadline=None,
    max_examples=20,
    # The fixtures below are made for a test, not for each of its examples.
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
hypothesis.settings.load_profile("keras_practices")

# Written by other libraries when they are imported, or by pytest for each phase.
NOT_OURS = (
    "PYTEST_CURRENT_TEST",
    "KMP_",
    "TF_",
    "TF2_",
    "TPU_",
    "GRPC_",
    "_TORCHINDUCTOR_",
)


def _environment():
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(NOT_OURS)
    }


@pytest.fixture(autouse=True, scope="module")
def _freeze_garbage():
    """Keeps what earlier files left behind out of later collections.

    Compiled programs stay alive by the gigabyte. A search collects garbage after each
    trial, and would walk through all of them each time.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _clean_slate():
    """Gives each test the same start and finds what it leaves behind."""
    # Tests that read source only never pay for Keras.
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(0)
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
        keras.config.set_image_data_format("channels_last")
    before = _environment()
    yield
    if keras is not None:
        keras.config.set_dtype_policy("float32")
    after = _environment()
    if after != before:
        names = sorted(
            name
            for name in before.keys() | after.keys()
            if before.get(name) != after.get(name)
        )
        for name in names:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
        pytest.fail(f"The test left environment variables changed: {names}.")


def _optimize_graphs(wanted):
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        import tensorflow as tf

        options = {"disable_meta_optimizer": not wanted}
        tf.config.optimizer.set_experimental_options(options)


@pytest.fixture(autouse=True, scope="session")
def _unoptimized_graphs():
    if "KP_UNOPTIMIZED" in os.environ:
        _optimize_graphs(False)


@pytest.fixture(scope="module")
def optimized_graphs():
    """TensorFlow's graphs as users run them: two of one model may be fused apart."""
    _optimize_graphs(True)
    yield
    _optimize_graphs("KP_UNOPTIMIZED" not in os.environ)


@pytest.fixture
def backend():
    """Name of the backend that this process tests."""
    import keras

    return keras.backend.backend()
