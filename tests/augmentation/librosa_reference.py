"""Writes the pitches that librosa gives, for the tests of sounds to compare with.

librosa compiles for half a minute when it is first imported, so the suite reads what
this wrote. Needs `pip install librosa` beside the test environment.

    python tests/augmentation/librosa_reference.py tests/augmentation/librosa.json
"""

import json
import sys

import librosa
from spectral import FRAME
from spectral import INNER
from spectral import SAMPLES
from spectral import peaks
from spectral import tones

# The resampler `fft` is SciPy's; the better ones are packages of their own.
HIGHER = librosa.effects.pitch_shift(
    tones(), sr=SAMPLES, n_steps=4, n_fft=FRAME, res_type="fft"
)
SLOWER = librosa.effects.time_stretch(tones(), rate=0.8, n_fft=FRAME)

with open(sys.argv[1], "w", encoding="utf-8") as file:
    figures = {
        "made with": {"librosa": librosa.__version__},
        "pitch_shift": peaks(HIGHER[:, INNER]).tolist(),
        "time_stretch": peaks(SLOWER[:, INNER]).tolist(),
    }
    json.dump(figures, file, indent=1)
    file.write("\n")
