import pytest

from keras_practices.callbacks import budget as budget_module
from keras_practices.callbacks.budget import GRACE_OF_EPOCHS
from keras_practices.callbacks.budget import GRACE_OF_SAMPLES
from keras_practices.callbacks.budget import LEAST_OF_EPOCHS
from keras_practices.callbacks.budget import PLANNED_PART
from keras_practices.callbacks.budget import Budget


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(budget_module.time, "perf_counter", clock)
    return clock


class Function:
    """What a budget asks of a watched train function."""

    seconds, compile_seconds, samples, seconds_a_sample = 0.0, 0.0, 0, None
    sample_ratio = None


def test_time_inside_is_spent_and_compilation_is_apart(clock):
    budget = Budget(0.02)
    clock.now += 10
    assert (budget.elapsed, budget.spent, budget.share) == (10, 0, 0)
    with budget.spending():
        clock.now += 1
    with budget.spending(compiling=True):
        clock.now += 5
    assert (budget.elapsed, budget.spent, budget.compiled) == (16, 1, 5)
    # Of the ten seconds that the training took by itself.
    assert budget.share == pytest.approx(0.1)


def test_what_fails_was_spent_all_the_same(clock):
    budget = Budget(0.02)

    def fails():
        with budget.spending():
            clock.now += 3
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert budget.spent == 3


def test_a_watched_function_costs_its_own_seconds_and_those_of_its_samples(clock):
    budget, function = Budget(0.02), Function()
    budget.watch(function)
    with budget.spending():
        clock.now += 1
    clock.now += 99
    function.seconds, function.compile_seconds, function.samples = 2.0, 20.0, 4
    # No pair of steps was timed so far.
    assert (budget.spent, budget.compiled) == (3, 20)
    function.seconds_a_sample = 0.5
    assert budget.spent == 5
    assert budget.share == pytest.approx(5 / (100 - 5 - 20))


def test_the_share_is_never_of_less_than_nothing(clock):
    budget = Budget(0.02)
    assert budget.share == 0
    with budget.spending():
        clock.now += 1
    assert budget.share == 0


def test_the_first_seconds_are_free_and_then_the_planned_share(clock):
    budget = Budget(0.1)
    with budget.spending():
        clock.now += GRACE_OF_EPOCHS
    assert budget.affords()
    assert not budget.affords(0.1)
    with budget.spending():
        clock.now += 1.0
    assert not budget.affords()
    # The second is 4 % of what training and monitor have taken together.
    clock.now = 1000 + 1 / (PLANNED_PART * 0.1) + 0.1
    assert budget.affords()
    # What is to come counts as well, and compilation is paid once and is no part of it.
    assert not budget.affords(0.1)
    with budget.spending(compiling=True):
        clock.now += 100
    assert (budget.affords(), budget.affords(0.1)) == (True, False)


def test_epochs_have_their_part_however_much_is_done_at_steps(clock):
    budget, function = Budget(0.1), Function()
    budget.watch(function)
    clock.now += 100
    allowed = GRACE_OF_EPOCHS + LEAST_OF_EPOCHS * 0.1 * 100
    for function.seconds in (3.0, 50.0):
        assert budget.affords(allowed - 0.1)
        assert not budget.affords(allowed + 0.1)
    # What the steps leave of the plan is theirs as well.
    function.seconds = 1.0
    assert budget.affords(GRACE_OF_EPOCHS + PLANNED_PART * 10 - 1.1)


def test_half_of_what_is_free_is_kept_for_the_epochs_to_come(clock):
    budget = Budget(0.02)
    for done in (0.0, 0.5, 1.0):
        free = GRACE_OF_EPOCHS * (0.5 + done / 2)
        assert budget.affords(free - 1e-6, done=done)
        assert not budget.affords(free + 1e-6, done=done)


def test_without_a_limit_everything_is_affordable(clock):
    budget = Budget(1)
    with budget.spending():
        clock.now += 100
    assert budget.affords(1000.0)


def test_what_is_done_once_an_epoch_takes_no_sample_away(clock):
    budget, function = Budget(0.1), Function()
    budget.watch(function)
    with budget.spending():
        clock.now += 3 * GRACE_OF_EPOCHS
    assert (budget.affords_samples, budget.affords()) == (True, False)
    function.seconds = GRACE_OF_SAMPLES + 0.1
    assert not budget.affords_samples
    clock.now += 100
    assert budget.affords_samples


@pytest.mark.parametrize(
    ("ratio", "spent", "steps"),
    [
        (None, 1.0, 0),
        (0.3, GRACE_OF_SAMPLES, 0),
        # 0.178 of a step, spread over 30, is 0.6 %: what 0.2 % leave of 0.8 %.
        (0.178, 0.2, 30),
        (0.178, 0.75, 178),  # 0.05 % would be left: they get 0.1 % all the same
        (0.178, 5.0, 178),
        (0.001, 0.6, 1),
    ],
)
def test_samples_get_what_is_left_of_the_share(clock, ratio, spent, steps):
    budget, function = Budget(0.02), Function()
    assert budget.steps_a_sample == 0
    budget.watch(function)
    clock.now += 100 + spent
    function.sample_ratio, function.seconds = ratio, spent
    assert budget.steps_a_sample == steps
    if not steps:
        return
    # What samples have taken so far is no part of what else there is.
    function.samples, function.seconds_a_sample = 10, 0.1
    clock.now += 1
    assert budget.steps_a_sample == steps


def test_samples_leave_over_what_the_end_will_take(clock):
    budget, function = Budget(0.02), Function()
    budget.watch(function)
    clock.now += 100.2
    function.sample_ratio, function.seconds = 0.18, 0.2
    alone, budget.ahead = budget.steps_a_sample, 0.3
    # Of 0.6 % another 0.3 % are promised.
    assert (alone, budget.steps_a_sample) == (30, 60)
