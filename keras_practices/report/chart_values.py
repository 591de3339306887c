"""Charts and images as the dicts that a report's JSON holds, and back."""

import dataclasses

import numpy as np

from keras_practices.charts import Chart
from keras_practices.charts import Images
from keras_practices.charts import Line
from keras_practices.charts import Panels
from keras_practices.findings import json_safe

KINDS = {"chart": Chart, "panels": Panels, "images": Images}


def to_dict(value):
    """Returns a `Chart`, `Panels` or `Images` as a dict that `json.dumps` takes."""
    kind = next(name for name, one in KINDS.items() if isinstance(value, one))
    fields = dataclasses.fields(value)
    table = {field.name: getattr(value, field.name) for field in fields}
    if kind == "images":
        table["shape"] = value.arrays.shape
        # Five digits are more than an eye can tell, and a third of the bytes.
        table["arrays"] = [float(f"{v:.5g}") for v in value.arrays.ravel().tolist()]
    elif kind == "panels":
        table["charts"] = [to_dict(chart) for chart in value.charts]
    else:
        table["lines"] = [dataclasses.asdict(line) for line in value.lines]
    return {"kind": kind, **json_safe(table)}


def from_dict(table):
    """Builds what `to_dict` was given; raises ValueError for an unknown kind."""
    table = dict(table)
    kind = table.pop("kind")
    if kind == "images":
        flat = np.array([float(v) for v in table["arrays"]], "float32")
        table["arrays"] = flat.reshape(table.pop("shape"))
    elif kind == "panels":
        table["charts"] = [from_dict(chart) for chart in table["charts"]]
    elif kind == "chart":
        table["lines"] = [Line(**line) for line in table["lines"]]
    else:
        raise ValueError(f"no such kind of chart: {kind!r}")
    return KINDS[kind](**table)
