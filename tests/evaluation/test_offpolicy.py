import numpy as np
import pytest

from ptofa_gpu.errors import InputError
from ptofa_gpu.evaluation import value_policies, value_policy


def world(seed, n=2000, skew=True):
    """A log with uneven, known propensities, a policy to value, and the policy's true value."""
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    mean = np.column_stack([0.2 + 0.0 * x, 0.5 * x, 0.6 * (1 - x)])
    chance = np.array([0.5, 0.3, 0.2]) if skew else np.full(3, 1 / 3)
    action = rng.choice(3, size=n, p=chance)
    reward = (rng.random(n) < mean[np.arange(n), action]) * rng.exponential(2.0, n)
    policy = np.argmax(mean, axis=1)
    truth = 2.0 * np.max([[0.2] * 200_001, 0.5 * (g := np.linspace(0, 1, 200_001)), 0.6 * (1 - g)], axis=0).mean()
    return {"action": action, "propensity": chance[action], "reward": reward}, policy, truth, 2.0 * mean


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr"])
def test_interval_covers_the_truth_about_as_often_as_it_says(estimator):
    hits, errors = 0, []
    for seed in range(200):
        log, policy, truth, mean = world(seed, n=600)
        extra = {"predicted": 0.7 * mean} if estimator == "dr" else {}
        v = value_policy(policy, **log, estimator=estimator, draws=200, seed=seed, **extra)
        hits += v.low <= truth <= v.high
        errors.append(v.value - truth)
    # 200 trials at 95 %: below 0.90 or at 1.00 has a chance under 1 in 1000
    assert 0.90 <= hits / 200 < 1.0
    assert abs(np.mean(errors)) < 3.5 * np.std(errors) / np.sqrt(200)


def test_uneven_propensities_matter():
    log, policy, _, mean = world(1, n=60_000)
    policy = np.where(policy == 2, 2, 0)  # a rarely shown good action and an often shown poor one
    truth = mean[np.arange(policy.size), policy].mean()
    right = value_policy(policy, **log, draws=50)
    wrong = value_policy(policy, log["action"], 1 / 3, log["reward"], draws=50)
    assert abs(right.value - truth) < 0.03
    assert wrong.value < truth - 0.05


def test_self_normalised_value_shifts_with_the_reward_and_ips_does_not():
    log, policy, _, _ = world(2)
    up = {**log, "reward": log["reward"] + 10.0}
    gain = value_policy(policy, **up, draws=5).value - value_policy(policy, **log, draws=5).value
    assert gain == pytest.approx(10.0, abs=1e-9)
    ips = (
        value_policy(policy, **up, draws=5, estimator="ips").value
        - value_policy(policy, **log, draws=5, estimator="ips").value
    )
    assert abs(ips - 10.0) > 1e-3


def test_hand_computed_values():
    action, reward = np.array([0, 1, 1, 0]), np.array([1.0, 2.0, 4.0, 8.0])
    p = np.array([0.5, 0.5, 0.25, 0.5])
    policy = np.array([0, 0, 1, 0])
    ips = value_policy(policy, action, p, reward, estimator="ips", draws=5)
    assert ips.value == pytest.approx((1 / 0.5 + 4 / 0.25 + 8 / 0.5) / 4)
    snips = value_policy(policy, action, p, reward, draws=5)
    assert snips.value == pytest.approx((2 + 16 + 16) / (2 + 4 + 2))
    assert (snips.matched, snips.rows) == (3, 4)
    assert snips.effective == pytest.approx(8**2 / (4 + 16 + 4))
    q = np.tile([1.0, 3.0], (4, 1))
    dr = value_policy(policy, action, p, reward, estimator="dr", predicted=q, draws=5)
    assert dr.value == pytest.approx(np.mean([1 + 2 * (1 - 1), 1.0, 3 + 4 * (4 - 3), 1 + 2 * (8 - 1)]))


def test_probabilities_and_choices_agree():
    log, policy, _, _ = world(3)
    a = value_policy(policy, **log, draws=20)
    b = value_policy(np.eye(3)[policy], **log, draws=20)
    assert (a.value, a.low, a.high) == (b.value, b.low, b.high)


def test_lift_is_paired_and_verdict_is_honest():
    log, policy, _, _ = world(4, n=4000)
    nearly = policy.copy()
    nearly[:3] = (nearly[:3] + 1) % 3
    table = value_policies(
        {"plan": policy, "nearly": nearly, "first": np.zeros_like(policy)}, **log, baseline="plan", draws=300
    )
    tie, worse = table["nearly"], table["first"]
    assert table["plan"].lift == table["plan"].lift_low == table["plan"].lift_high == 0.0
    assert tie.lift_high - tie.lift_low < 0.2 * (tie.high - tie.low), "differences share their resamples"
    assert "cannot be told from" in table.verdict("nearly")
    assert worse.lift_high < 0
    assert "worse" in table.verdict("first")
    assert not worse.beats_baseline


def test_same_seed_same_bits():
    log, policy, _, _ = world(5)
    a, b = (value_policy(policy, **log, seed=7) for _ in range(2))
    assert (a.value, a.low, a.high) == (b.value, b.low, b.high)
    assert value_policy(policy, **log, seed=7).low != value_policy(policy, **log, seed=8).low


def test_names_are_escaped():
    log, policy, _, _ = world(6)
    table = value_policies({"<script>alert(1)</script>": policy}, **log, draws=5)
    assert "<script>" not in table._repr_html_()
    assert "&lt;script&gt;" in table._repr_html_()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"propensity": 0.0}, "propensity must lie in"),
        ({"propensity": np.nan}, "propensity must lie in"),
        ({"reward": np.array([1.0])}, "must agree"),
        ({"reward": np.full(2000, np.inf)}, "finite"),
        ({"action": np.full(2000, -1)}, "negative"),
        ({"action": np.zeros(2000)}, "integer"),
        ({"estimator": "magic"}, "'ips', 'snips' or 'dr'"),
        ({"estimator": "dr"}, "needs predicted"),
        ({"estimator": "dr", "predicted": np.zeros((2000, 1))}, "predicted must be"),
        ({"baseline": "nobody"}, "baseline is 'nobody'"),
        ({"draws": 0}, "draws"),
        ({"level": 1.0}, "level"),
    ],
)
def test_bad_input_is_named(change, words):
    log, policy, _, _ = world(7)
    args = {**log, **change}
    with pytest.raises(InputError, match=words):
        value_policies({"plan": policy}, **args)


def test_policies_the_log_cannot_value():
    log, policy, _, _ = world(8)
    with pytest.raises(InputError, match="agrees with no logged row"):
        value_policy(np.full_like(policy, -1), **log)
    with pytest.raises(InputError, match="whole action numbers"):
        value_policy(policy.astype(float), **log)
    with pytest.raises(InputError, match="sum to at most 1"):
        value_policy(np.ones((2000, 3)), **log)
    with pytest.raises(InputError, match="has shape"):
        value_policy(policy[:5], **log)


def test_a_policy_that_chooses_alike_is_not_weighed_against_itself():
    rng = np.random.default_rng(0)
    action = rng.integers(0, 2, 200)
    table = value_policies({"a": np.ones(200, int), "b": np.ones(200, int)}, action, 0.5, rng.random(200), baseline="a")
    assert table.verdict("b") == "“b” earns exactly what “a” earns on these data."
