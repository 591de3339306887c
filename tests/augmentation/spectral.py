"""Tones, and what NumPy measures of them in float64."""

import json
import pathlib

import numpy as np
from keras import ops

SAMPLES = 4000
FRAME = 512
# Where no edge is near.
INNER = slice(300, SAMPLES - 300)
LIBROSA = pathlib.Path(__file__).with_name("librosa.json")
FREQUENCIES = np.array([0.02, 0.1, 0.2, 0.37])


def tones(frequencies=FREQUENCIES):
    """One tone of amplitude 1 a row, frequencies in cycles a sample."""
    angle = 2 * np.pi * np.asarray(frequencies)[:, None] * np.arange(SAMPLES)
    return np.sin(angle).astype("float32")


def burst(start, end):
    """A tone between two samples, and silence around it."""
    wave = tones([0.1])
    wave[:, :start] = wave[:, end:] = 0
    return wave


def changed(layer, waves):
    return np.float64(ops.convert_to_numpy(layer(waves, training=True)))


def peaks(waves):
    """Frequency of the spectral peak of each row, on a grid of 1/16 of a bin."""
    count = waves.shape[1]
    spectrum = abs(np.fft.rfft(waves * np.hanning(count), 16 * count))
    return spectrum.argmax(axis=1) / (16 * count)


def peaks_of_librosa(effect):
    """What `librosa_reference.py` found in `tones()`."""
    return np.array(json.loads(LIBROSA.read_text(encoding="utf-8"))[effect])


def amplitudes(waves):
    return np.sqrt(2 * np.square(waves).mean(axis=1))


def edges(wave):
    """Where the loudness over 64 samples first and last is above a half."""
    power = np.convolve(2 * np.square(wave), np.ones(64) / 64, mode="same")
    loud = np.flatnonzero(power > 0.5)
    return loud[0], loud[-1]
