"""Random changes of sounds and images that Keras has not, and averages over views."""

from keras_practices.augmentation.add_noise import AddNoise
from keras_practices.augmentation.averaged_views import predict_tta
from keras_practices.augmentation.color_pca import ColorPCA
from keras_practices.augmentation.gain import Gain
from keras_practices.augmentation.lens_distortion import LensDistortion
from keras_practices.augmentation.pitch_shift import PitchShift
from keras_practices.augmentation.safe_augmentation import SafeAugmentation
from keras_practices.augmentation.spec_augment import SpecAugment
from keras_practices.augmentation.time_shift import TimeShift
from keras_practices.augmentation.time_stretch import TimeStretch

__all__ = [
    "AddNoise",
    "ColorPCA",
    "Gain",
    "LensDistortion",
    "PitchShift",
    "SafeAugmentation",
    "SpecAugment",
    "TimeShift",
    "TimeStretch",
    "predict_tta",
]
