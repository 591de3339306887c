"""Backups from which a killed training goes on as if nothing had happened."""

import os
import re
import shutil
import warnings
from collections import Counter
from collections.abc import Sequence

import keras

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices.callbacks import callback_state
from keras_practices.callbacks.disk import check_folder
from keras_practices.callbacks.disk import check_room
from keras_practices.callbacks.disk import flush
from keras_practices.callbacks.disk import make_folder
from keras_practices.callbacks.random_state import get_random_state
from keras_practices.callbacks.random_state import set_random_state
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import UsageError
from keras_practices.errors import first_line

PARTIAL = ".partial"


class BackupAndRestore(keras.callbacks.BackupAndRestore):
    """Keras's `BackupAndRestore`, which also keeps the state of other callbacks.

    A training that was killed goes on from the last backup when the same script runs
    again. Keras's own brings back the weights, the optimizer and the epoch; this one
    also what `callbacks` had collected: patience, best score and best weights of
    `EarlyStopping`, `best` and cooldown of `ReduceLROnPlateau`, `best` of
    `ModelCheckpoint`, the past epochs of a `History`, whatever has `get_state` and
    `set_state` (see `keras_practices.callbacks.callback_state`), and the random state
    of Python, NumPy, PyTorch and the seeds in the model.

    A backup is one folder, made under another name and renamed: a kill at any moment
    leaves a whole backup, the new or the old one, never a mixture. One that cannot be
    written (full disk) is one warning, and training goes on.

    What is trained after that equals the uninterrupted training bit for bit, with
    shuffled arrays and with dropout, if the script calls `keras.utils.set_random_seed`
    and the device computes in a fixed order. A dataset with an order of its own begins
    it anew. An integer as `save_freq` begins the epoch again with the weights in the
    backup. If the process is killed after an early stop and before the end of `fit`,
    one more epoch is trained.

    At the end of `fit` the folder is deleted, also when a `TimeStopping` ended it: use
    `delete_checkpoint=False` to go on another time.

    State: one backup on disk (weights, optimizer, `callbacks`), two with
    `double_checkpoint` and for the moment of saving. Cost: writing them. With
    `save_freq="epoch"` training on JAX does not wait for each step, as it does with
    Keras's own.

    Args:
        backup_dir: Local folder for backups and nothing else.
        save_freq: `"epoch"`, or int of at least 1, batches between two backups.
        double_checkpoint: Bool. Keep the last but one backup too, and fall back on it
            when the last cannot be read.
        delete_checkpoint: Bool. Delete the folder when `fit` ends.
        callbacks: Callbacks whose state belongs to the backup. They must stand in the
            `callbacks` of `fit` too, before this one. Leave `SwapEMAWeights` with
            `swap_on_epoch=True` out and put it after this one.

    Raises:
        OSError: the folder cannot be made; no backup in it can be read.
        RuntimeError: in `fit`, one of `callbacks` stands after this one or is missing.
        TypeError, ValueError: bad arguments; a callback whose state is not known.

    Example:

    >>> x = np.linspace(-1, 1, 32)[:, None]
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> stopping = keras.callbacks.EarlyStopping("loss", patience=2)
    >>> backup = BackupAndRestore("backup", callbacks=[stopping])
    >>> history = model.fit(x, 2 * x, epochs=2, verbose=0, callbacks=[stopping, backup])

    References:
        Keras, `keras.callbacks.BackupAndRestore`.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        *,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ):
        folder = check_folder(self, "backup_dir", backup_dir)
        if save_freq != "epoch":
            check_integer(self, "save_freq", save_freq, low=1, advice="Or 'epoch'.")
        super().__init__(folder, save_freq, double_checkpoint, delete_checkpoint)
        for callback in callbacks:
            if not callback_state.has_state(callback):
                known = [kind.__name__ for kind in callback_state.ATTRIBUTES]
                raise type_error(
                    self,
                    "callbacks",
                    f"callbacks with get_state and set_state, or {', '.join(known)}",
                    callback,
                    "Leave out a callback that has nothing to remember.",
                )
        self.callbacks = list(callbacks)
        # Keras need not wait for each step on JAX to call a hook that does nothing.
        self.async_safe = save_freq == "epoch"
        self._misplaced: list[str] = []

    def set_params(self, params):
        """Takes the parameters of `fit`; finds callbacks that do not have them yet."""
        super().set_params(params)
        # Keras gives every callback of one `fit` this same object, in their order.
        self._misplaced = [
            type(callback).__name__
            for callback in self.callbacks
            if callback.params is not params
        ]

    def on_train_begin(self, logs=None):
        """Goes on from the last backup, if there is one."""
        if self._misplaced:
            raise UsageError(
                "BackupAndRestore: all of its callbacks must stand before it in the "
                f"callbacks of fit. After it, or missing: {self._misplaced}. Put "
                "BackupAndRestore last."
            )
        # A state that cannot be stored is found before there is work to lose.
        callback_state.encode(self._state())
        make_folder(self.backup_dir)
        for name in os.listdir(self.backup_dir):
            if re.fullmatch(rf"backup-\d+{PARTIAL}", name):
                shutil.rmtree(os.path.join(self.backup_dir, name))
        self._warned = False
        self._batches_since_backup = 0
        self._forget_epoch()
        if not self._restore_newest():
            # The folder may hold a backup by Keras's own.
            super().on_train_begin(logs)
            if self.model._initial_epoch is not None:
                self._warn(
                    "the backup was made by keras.callbacks.BackupAndRestore. Weights "
                    "and epoch are restored, the other callbacks begin afresh."
                )

    def on_epoch_begin(self, epoch, logs=None):
        """Notes the epoch."""
        self._epoch = epoch
        self._batches_done = 0

    def on_train_batch_end(self, batch, logs=None):
        """Makes a backup every `save_freq` batches."""
        if self.save_freq == "epoch":
            return
        # With steps_per_execution the hook comes once in several batches.
        self._batches_since_backup += batch + 1 - self._batches_done
        self._batches_done = batch + 1
        if self._batches_since_backup >= self.save_freq:
            self._batches_since_backup = 0
            self._save(self._epoch)

    def on_epoch_end(self, epoch, logs=None):
        """Makes a backup when `save_freq` is `"epoch"`."""
        if self.save_freq == "epoch":
            self._save(epoch + 1)

    def on_train_end(self, logs=None):
        """Deletes the backups, unless they are to be kept."""
        super().on_train_end(logs)
        self._forget_epoch()

    def _forget_epoch(self):
        # Keras never does, and begins each later `fit` of the model at this epoch.
        self.model._initial_epoch = None

    def _state(self):
        return {
            "callbacks": {
                name: callback_state.get_state(callback)
                for name, callback in self._named_callbacks()
            },
            "random": get_random_state(self.model),
        }

    def _named_callbacks(self):
        """Pairs that a later process makes in the same way: class and number."""
        counts: Counter[str] = Counter()
        for callback in self.callbacks:
            kind = type(callback).__name__
            counts[kind] += 1
            yield f"{kind} {counts[kind]}", callback

    def _backups(self):
        """Paths of the whole backups, oldest first."""
        names = [
            name
            for name in os.listdir(self.backup_dir)
            if re.fullmatch(r"backup-\d+", name)
        ]
        names.sort(key=lambda name: int(name.removeprefix("backup-")))
        return [os.path.join(self.backup_dir, name) for name in names]

    def _keras_backup(self, folder):
        """Keras's own callback for one folder: the format of its files is its own."""
        backup = keras.callbacks.BackupAndRestore(folder)
        backup.set_model(self.model)
        return backup

    def _save(self, next_epoch):
        partial = None
        try:
            check_room(self.backup_dir, self.model)
            newest = self._backups()[-1:]
            number = int(newest[0].rpartition("-")[2]) + 1 if newest else 0
            folder = os.path.join(self.backup_dir, f"backup-{number:08d}")
            partial = folder + PARTIAL
            self._keras_backup(partial).on_epoch_end(next_epoch - 1)
            callback_state.write(partial, self._state())
            for name in os.listdir(partial):
                flush(os.path.join(partial, name))
            os.replace(partial, folder)
            for old in self._backups()[: -2 if self.double_checkpoint else -1]:
                # Renamed first, so that a kill leaves no half of it under its name.
                os.replace(old, old + PARTIAL)
                shutil.rmtree(old + PARTIAL, ignore_errors=True)
        except OSError as error:
            if partial is not None:
                shutil.rmtree(partial, ignore_errors=True)
            if not self._warned:
                self._warn(
                    f"a backup could not be written to {self.backup_dir!r}. Training "
                    "goes on, and the next backup is tried again. The last one stays. "
                    f"{first_line(error)}"
                )
            self._warned = True

    def _restore_newest(self):
        """Restores the newest backup that can be read; says whether there was one."""
        damage = None
        for folder in reversed(self._backups()):
            try:
                state = callback_state.read(folder)
                self._keras_backup(folder).on_train_begin()
            except OSError as error:
                damage = damage or error
                continue
            if damage is not None:
                self._warn(
                    "the last backup cannot be read, the one before it is used. "
                    f"{first_line(damage)}"
                )
            self._restore_state(state)
            return True
        if damage is not None:
            raise damage
        return False

    def _restore_state(self, state):
        if not set_random_state(self.model, state["random"]):
            self._warn("the model has other random layers; their seeds begin afresh.")
        for name, callback in self._named_callbacks():
            if name in state["callbacks"]:
                callback_state.set_state(callback, state["callbacks"][name])
            else:
                self._warn(f"the backup has no state of {name}, which begins afresh.")

    def _warn(self, text):
        warnings.warn(f"BackupAndRestore: {text}", KerasPracticesWarning, stacklevel=3)
