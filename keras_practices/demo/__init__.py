"""The main job on real data: `python -m keras_practices demo`."""
