"""What a rank is given: a learning rate for its number, and a GPU of its own where there are any."""

import pytest

from salus.errors import Refused
from salus.training.plan import NetworkPlan
from salus.training.rank import gpu_of


@pytest.mark.parametrize(("rule", "expected"), [("none", 0.01), ("sqrt", 0.02), ("linear", 0.04)])
def test_the_learning_rate_grows_with_the_ranks_as_the_settings_say(rule, expected):
    plan = NetworkPlan("m", "mlp", learning_rate=0.01, rate_by_ranks=rule)
    assert plan.rate(4) == pytest.approx(expected)
    assert plan.rate(1) == 0.01


def test_a_rank_takes_the_gpu_that_spark_assigned_or_that_of_its_number():
    assert gpu_of(["3"], 0, 4) == 3
    assert gpu_of([], 1, 2) == 1
    with pytest.raises(Refused, match=r"GPU 2 of 2; expected a GPU a rank.*spark\.task\.resource\.gpu\.amount=1"):
        gpu_of([], 2, 2)
