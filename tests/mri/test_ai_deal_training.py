"""Training without labels: the loss falls, and a run that was stopped goes on to the same bytes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from liver_models.errors import UnsuitableInputError
from liver_models.mri import ai_deal_training
from liver_models.mri.ai_deal_networks import AiDealNetworks, NetworkSizes
from liver_models.mri.ai_deal_training import STAGES, Stage, prepare, stage_loss, train
from liver_models.mri.training_slices import SliceBank, TrainingSlice
from liver_models.weights import load_weights

TINY = NetworkSizes(field=(4, 8, 8, 8), r2_star=(4, 4, 4, 4))
SHORT = (Stage("A", 4, 2e-3), Stage("B", 3, 2e-3), Stage("C", 3, 1e-3))


@pytest.fixture(scope="module")
def bank():
    return SliceBank.simulate(2, seed=1, size=48)


@pytest.fixture
def draw(bank):
    return partial(bank.draw, protocol="six_echoes")


def fresh(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return AiDealNetworks(TINY)


def without_last_echoes(slice_: TrainingSlice, n_echoes: int) -> TrainingSlice:
    fields = vars(slice_) | {"signal": slice_.signal[:n_echoes], "echo_times_s": slice_.echo_times_s[:n_echoes]}
    return TrainingSlice(**fields)


class Mixed:
    """Now and then a slice of three echoes, which teaches G_R2* nothing."""

    def __init__(self, bank):
        self.bank = bank

    def __call__(self, rng):
        found = self.bank.draw(rng, "six_echoes")
        return without_last_echoes(found, 3) if rng.random() < 0.5 else found


def stopping_at(done):
    def progress(report):
        if report.done == done:
            raise KeyboardInterrupt

    return progress


def same(first, second):
    pairs = zip(first.tensors().values(), second.tensors().values(), strict=True)
    return all(one.tobytes() == other.tobytes() for one, other in pairs)


def resumed(draw, folder, stages=SHORT, at=6, **options):
    """Networks of a run that was stopped after some steps and started again."""
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), draw, stages, folder=folder, report_every=1, progress=stopping_at(at), **options)
    networks = fresh(seed=9)
    return networks, train(networks, draw, stages, folder=folder, **options)


@pytest.mark.parametrize(("stage", "learning_rate"), [("A", 1e-2), ("B", 1e-2), ("C", 3e-3), ("D", 3e-3)])
def test_the_loss_of_a_slice_falls_in_twenty_steps(bank, stage, learning_rate):
    slice_ = bank.draw(np.random.default_rng(0), "six_echoes")
    networks = fresh()
    before = stage_loss(networks, prepare(slice_), stage).item()
    train(networks, lambda rng: slice_, (Stage(stage, 20, learning_rate),))
    assert not networks.training
    assert stage_loss(networks, prepare(slice_), stage).item() < before - 0.01 * abs(before)


def test_a_stage_trains_its_networks_and_no_other(draw):
    for stage, trained in (
        ("A", {"field"}),
        ("B", {"r2_star"}),
        ("C", {"field", "r2_star"}),
        ("D", {"field", "r2_star"}),
    ):
        before, after = fresh(), fresh()
        train(after, draw, (Stage(stage, 1, 1e-2),))
        pairs = zip(before.named_parameters(), after.parameters(), strict=True)
        moved = {name.split(".")[0] for (name, one), other in pairs if not torch.equal(one, other)}
        assert moved == trained


def test_the_truth_of_a_slice_is_not_looked_at(bank):
    slice_ = bank.draw(np.random.default_rng(0), "six_echoes")
    lies = dict.fromkeys(("water", "fat", "field_map_hz", "r2_star_per_s", "body_mask"), np.zeros((48, 48)))
    blind = TrainingSlice(**(vars(slice_) | lies))
    for stage in "ABCD":
        seen, unseen = (stage_loss(fresh(), prepare(s), stage).item() for s in (slice_, blind))
        assert seen == unseen


@pytest.mark.parametrize("at", [2, 4, 6, 9])
def test_a_stopped_run_goes_on_to_the_same_weights(draw, tmp_path, at):
    whole = fresh()
    train(whole, draw, SHORT)
    assert same(whole, resumed(draw, tmp_path, at=at)[0])


def test_steps_that_teach_nothing_do_not_disturb_a_run_that_goes_on(bank, tmp_path):
    whole, draw = fresh(), Mixed(bank)
    train(whole, draw, SHORT, seed=3)
    assert same(whole, resumed(draw, tmp_path, at=9, seed=3)[0])


def test_a_stopped_run_goes_on_to_the_same_curve(draw, tmp_path, monkeypatch):
    monkeypatch.setattr(ai_deal_training, "CURVE_POINTS", 1)
    stages = (Stage("A", 6, 2e-3),)
    whole = train(fresh(), draw, stages)
    assert resumed(draw, tmp_path, stages, at=4)[1] == whole


def test_a_finished_run_is_not_trained_again(draw, tmp_path):
    first = fresh()
    curve = train(first, draw, SHORT, folder=tmp_path)

    def never(rng):
        raise AssertionError("A finished run needs no slice.")

    again = fresh(seed=9)
    assert train(again, never, SHORT, folder=tmp_path) == curve and same(first, again)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(draw):
    made = [fresh() for _ in range(3)]
    for networks, seed in zip(made, (1, 1, 2), strict=True):
        train(networks, draw, SHORT[:1], seed=seed)
    assert same(made[0], made[1]) and not same(made[0], made[2])


def test_another_process_that_prepares_slices_changes_nothing(bank):
    alone, helped = fresh(), fresh()
    draw = partial(bank.draw, protocol="six_echoes")
    train(alone, draw, SHORT[:1])
    train(helped, draw, SHORT[:1], n_workers=1)
    assert same(alone, helped)


def test_progress_tells_stage_steps_loss_and_time(draw):
    told = []
    curve = train(fresh(), draw, SHORT, report_every=2, progress=told.append)
    assert [(r.stage, r.step) for r in told] == [("A", 2), ("A", 4), ("B", 2), ("B", 3), ("C", 2), ("C", 3)]
    assert [r.done for r in told] == [2, 4, 6, 7, 9, 10] and {r.total for r in told} == {10}
    assert all(np.isfinite(r.loss) for r in told)
    assert told[-1].eta_s == 0 and told[0].eta_s > 0
    assert [(p["stage"], p["step"]) for p in curve] == [(s.name, k + 1) for s in SHORT for k in range(s.n_steps)]


def test_the_learning_rate_falls_to_nothing(draw):
    """The last steps of a long stage move the weights far less than the first."""
    moved = []
    stages = (Stage("A", 12, 1e-3),)
    marks = {}

    networks = fresh()

    def remember(report):
        marks[report.step] = torch.cat([p.detach().flatten().clone() for p in networks.parameters()])

    train(networks, draw, stages, report_every=1, progress=remember)
    moved = [(marks[k + 1] - marks[k]).norm().item() for k in (1, 11)]
    assert moved[1] < 0.15 * moved[0]


def test_three_echoes_train_the_field_alone(bank):
    slice_ = without_last_echoes(bank.draw(np.random.default_rng(0), "six_echoes"), 3)
    prepared = prepare(slice_)
    assert prepared.fixed_r2_star is not None
    assert stage_loss(fresh(), prepared, "B").item() == 0
    stage_loss(networks := fresh(), prepared, "C").backward()
    assert all(p.grad is None or not p.grad.any() for p in networks.r2_star.parameters())
    assert any(p.grad.any() for p in networks.field.parameters())


def test_every_gradient_is_finite_for_any_protocol(bank):
    rng = np.random.default_rng(7)
    for _ in range(6):
        networks = fresh()
        stage_loss(networks, prepare(bank.draw(rng, "any")), "C").backward()
        assert all(torch.isfinite(p.grad).all() for p in networks.parameters() if p.grad is not None)


def test_a_checkpoint_holds_no_code_and_one_that_was_changed_is_refused(draw, tmp_path):
    train(fresh(), draw, SHORT[:1], folder=tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    assert load_weights(path).card["architecture"] == "ai_deal_checkpoint"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(UnsuitableInputError, match="was changed since"):
        train(fresh(), draw, SHORT[:1], folder=tmp_path)


@pytest.mark.parametrize("change", [{"seed": 5}, {"stages": (Stage("A", 5, 2e-3),)}])
def test_the_checkpoint_of_another_run_is_refused(draw, tmp_path, change):
    train(fresh(), draw, SHORT[:1], folder=tmp_path)
    with pytest.raises(UnsuitableInputError, match="checkpoint"):
        train(fresh(), draw, folder=tmp_path, **({"stages": SHORT[:1]} | change))


def test_the_shipped_stages_come_in_order():
    assert [stage.name for stage in STAGES] == ["A", "B", "C"]
