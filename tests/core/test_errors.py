import pytest

from keras_practices import errors

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("ours", "standard"),
    [
        (errors.ArgumentTypeError, TypeError),
        (errors.ArgumentValueError, ValueError),
        (errors.UsageError, RuntimeError),
        (errors.SanityCheckError, RuntimeError),
        (errors.VaultOpenedError, RuntimeError),
        (errors.OutputPathError, OSError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_an_error_is_ours_and_the_standard_one(ours, standard):
    assert issubclass(ours, errors.KerasPracticesError)
    assert issubclass(ours, standard)


def test_every_class_stands_in_the_drawn_tree():
    classes = [
        item
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, Exception | Warning)
    ]
    assert len(classes) == 10
    assert [c for c in classes if c.__name__ not in errors.__doc__] == []
    assert [c for c in classes if not c.__doc__] == []


def test_a_sanity_check_error_carries_its_findings():
    error = errors.SanityCheckError("loss is off", findings=("a", "b"))
    assert str(error) == "loss is off"
    assert error.findings == ["a", "b"]
    assert errors.SanityCheckError("loss is off").findings == []
