import importlib.util
import pathlib

import keras
import numpy as np
import pytest

import keras_practices as kp

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "transfer_learning.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("transfer_learning", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.once  # the next test has what differs between backends
def test_runs_and_prints_both(example, capsys):
    results = example.main(["--epochs", "4", "--seed", "3"])
    printed = capsys.readouterr().out
    assert "source task: digits 0-4" in printed
    assert str(results) in printed
    assert results.keys() == {"transfer", "scratch"}
    assert all(0 <= accuracy <= 1 for accuracy in results.values())


def test_only_what_is_named_is_trained(example):
    x, y = example.load([5, 6, 7, 8, 9])
    assert sorted(set(y)) == [0, 1, 2, 3, 4]
    target = kp.data.Split(x[:40], y[:40], validation=0.2, test=0.4)
    features = example.digit_features(target.train)

    def moved(before):
        return [
            variable.path
            for variable, old in zip(features.variables, before, strict=True)
            if (keras.ops.convert_to_numpy(variable) != old).any()
        ]

    def values():
        return [np.array(keras.ops.convert_to_numpy(v)) for v in features.variables]

    features.trainable = False
    model, before = example.classifier(features), values()
    assert [v.path.split("/")[-2] for v in model.trainable_variables] == ["head"] * 2
    example.train(model, target, rate=0.01, epochs=1)
    assert moved(before) == []  # BatchNormalization's statistics neither

    example.unfreeze_last_convolution(features)
    example.train(model, target, rate=0.001, epochs=1)
    last = [
        layer for layer in features.layers if isinstance(layer, keras.layers.Conv2D)
    ][-1]
    assert moved(before) == [last.kernel.path]


def test_without_a_network_the_error_says_what_to_do(example, monkeypatch):
    def fails(*arguments, **keywords):
        raise OSError("URL fetch failure")

    monkeypatch.setattr(keras.applications, "MobileNetV2", fails)
    with pytest.raises(SystemExit, match=r"--weights imagenet.*URL fetch failure"):
        example.main(["--weights", "imagenet", "--epochs", "1"])
