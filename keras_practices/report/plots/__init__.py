"""Pictures of a record and of charts, drawn with matplotlib as inline SVG."""

from keras_practices.report.plots.activations import (
    histogram_picture as output_histograms,
)
from keras_practices.report.plots.activations import spread_picture
from keras_practices.report.plots.canvas import Canvas
from keras_practices.report.plots.canvas import drawing
from keras_practices.report.plots.charts import chart_picture
from keras_practices.report.plots.filters import filter_picture
from keras_practices.report.plots.gap import gap_picture
from keras_practices.report.plots.gradients import flow_picture
from keras_practices.report.plots.gradients import histogram_picture
from keras_practices.report.plots.loss import loss_picture
from keras_practices.report.plots.loss import rate_picture
from keras_practices.report.plots.picture import Missing
from keras_practices.report.plots.runs import runs_picture
from keras_practices.report.plots.updates import update_picture


def draw_all(record, subjects, prefix):
    """Draws every picture the record has figures for.

    Args:
        record: A `Record`.
        subjects: Names of layers and variables to prefer where not all fit.
        prefix: What every id in the drawings begins with.

    Returns:
        `(pictures, missing)`: lists of `Picture` and of `Missing`.
    """
    canvas = Canvas(prefix)
    with drawing():
        results = [
            loss_picture(canvas, record),
            gap_picture(canvas, record),
            rate_picture(canvas, record),
            update_picture(canvas, record, subjects),
            flow_picture(canvas, record, subjects),
            histogram_picture(canvas, record, subjects),
            spread_picture(canvas, record, subjects),
            output_histograms(canvas, record, subjects),
            filter_picture(canvas, record),
        ]
    return _sorted(results)


def draw_runs(records, prefix):
    """Draws several runs in one picture; arguments and result as of `draw_all`.

    Args:
        records: Dict of name to `Record`.
        prefix: What every id in the drawings begins with.
    """
    with drawing():
        return _sorted([runs_picture(Canvas(prefix), records)])


def draw_charts(charts, prefix):
    """Draws charts, one picture each; arguments and result as of `draw_all`.

    Args:
        charts: List of `Chart`, `Panels` and `Images`.
        prefix: What every id in the drawings begins with.
    """
    canvas = Canvas(prefix)
    with drawing():
        return _sorted([chart_picture(canvas, chart) for chart in charts])


def _sorted(results):
    missing = [result for result in results if isinstance(result, Missing)]
    return [result for result in results if result not in missing], missing
