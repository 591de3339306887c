import pytest

from keras_practices.record import Record
from keras_practices.report import Report
from keras_practices.report import compare

OUTPUT = {
    "name": "output",
    "shape": [3],
    "layer": "dense",
    "activation": "linear",
    "softmax_axis": None,
    "loss": "mse",
    "from_logits": None,
    "reduction": "sum_over_batch_size",
    "target": None,
    "several": False,
}


def run_of(validation, *, rate=0.1, loss="mse", accuracy=None, folder=None):
    record = Record(folder)
    figures = {
        "model": {"optimizer": {"class": "SGD", "rate": rate}},
        "outputs": [{**OUTPUT, "loss": loss}],
    }
    record.add("start", schema=1, figures=figures, variables={"dense/kernel": [4, 3]})
    for epoch, value in enumerate(validation, 1):
        logs = {"loss": value / 2, "val_loss": value}
        if accuracy is not None:
            logs["val_accuracy"] = accuracy[epoch - 1]
        record.add("epoch", epoch=epoch, step=10 * epoch, logs=logs)
    record.close()
    return record


def test_each_run_is_shown_at_its_best_epoch():
    report = compare(
        {
            "one": run_of([1.0, 0.5, 0.7], accuracy=[0.1, 0.8, 0.9]),
            "two": run_of([1.0, 0.6, 0.55], accuracy=[0.1, 0.7, 0.85]),
        }
    )
    first, second = report.sections["Runs"]
    assert (first["best epoch"], first["val_loss"], first["val_accuracy"]) == (
        2,
        0.5,
        0.8,
    )
    assert (second["best epoch"], second["val_loss"]) == (3, 0.55)
    assert "lowest validation loss: 0.5, by one after epoch 2" in report.text()


def test_a_run_whose_validation_is_never_finite_has_no_best_epoch():
    runs = {"nan": run_of([float("nan")] * 2), "good": run_of([1.0, 0.5])}
    report = compare(runs)
    assert "best epoch" not in report.sections["Runs"][0]
    assert "lowest" not in report.text()


def test_losses_of_two_kinds_are_not_compared():
    runs = {"a": run_of([1.0], loss="mse"), "b": run_of([0.5], loss="mae")}
    assert "lowest" not in compare(runs).text()


def test_what_differs_is_listed_and_nothing_else():
    report = compare({"a": run_of([1.0], rate=0.1), "b": run_of([0.9], rate=0.01)})
    assert report.sections["What differs"] == [
        {"setting": "optimizer.rate", "a": 0.1, "b": 0.01}
    ]
    same = compare({"a": run_of([1.0]), "b": run_of([0.9])})
    assert isinstance(same.sections["What differs"], str)


def test_findings_stand_under_the_name_of_their_run():
    bad = Record()
    bad.add(
        "steps",
        first=0,
        epoch=[0.5, 1.0],
        loss=[1.0, float("nan")],
        learning_rate=[0.1, 0.1],
    )
    report = compare({"good": run_of([1.0, 0.5]), "bad": bad})
    assert not report.ok
    assert report.first.rule == "loss-not-finite"
    assert report.first.message.startswith("bad: ")
    assert report.first.evidence["runs"] == ["bad"]
    same = compare({"bad": bad, "worse": bad})
    assert same.first.message.startswith("all runs: ")
    assert len(same.findings) == len(Report.from_record(bad).findings)


def test_folders_are_named_by_their_last_part(tmp_path):
    run_of([1.0], folder=tmp_path / "a" / "first")
    run_of([0.9], folder=tmp_path / "a" / "second")
    run_of([0.8], folder=tmp_path / "b" / "first")
    folders = [tmp_path / "a" / "first", tmp_path / "a" / "second"]
    assert list(compare(folders).runs) == ["first", "second"]
    twins = [tmp_path / "a" / "first", tmp_path / "b" / "first"]
    assert list(compare(twins).runs) == [str(folder) for folder in twins]


@pytest.mark.parametrize("runs", [{}, {"a": Record()}, []])
def test_fewer_than_two_runs_are_refused(runs):
    with pytest.raises(ValueError, match="two or more"):
        compare(runs)


def test_one_folder_twice_or_none_at_all_is_refused(tmp_path):
    run_of([1.0], folder=tmp_path / "a")
    with pytest.raises(ValueError, match="differ"):
        compare([tmp_path / "a", tmp_path / "a"])
    with pytest.raises(ValueError, match=r"record\.jsonl"):
        compare([tmp_path / "a", tmp_path / "none"])


def test_json_brings_the_runs_back():
    report = compare({"a": run_of([1.0]), "b": run_of([0.9])})
    again = Report.from_json(report.to_json())
    assert again.to_dict() == report.to_dict()
    assert again.text() == report.text()


def test_the_page_draws_all_runs_and_escapes_their_names():
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    runs = {
        "<script>a": run_of([1.0, 0.5], accuracy=[0.2, 0.3]),
        "b": run_of([0.9], accuracy=[0.4]),
        "without an epoch": Record(),
    }
    page = compare(runs)._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page.replace("<wbr>", "")
    assert "Runs side by side" in page
    assert "Validation loss" in page
    assert "Validation accuracy" not in page  # not of every run


def test_runs_without_an_epoch_are_said_not_to_be_drawn():
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    page = compare({"a": Record(), "b": Record()})._repr_html_()
    assert "no run has finished an epoch" in page
