import numpy as np
import pytest
import torch

from liver_models.errors import UnsuitableInputError
from liver_models.learning.training_checkpoint import arrays_of
from liver_models.synthesis import gan_training, stacked_gan
from liver_models.synthesis.gan_options import VARIANTS, GanOptions
from liver_models.synthesis.gan_published import TABLE_1, TABLE_2, VARIANT_NAMES
from liver_models.synthesis.gan_training import Adversaries, build_generator, from_pixels, to_pixels
from liver_models.synthesis.generator import load_generator, train_generator
from liver_models.ultrasound.frames import FrameSet
from liver_models.weights import Weights, load_weights, save_weights


@pytest.fixture(autouse=True, scope="module")
def few_images():
    """Judge by a few images: time is what the tests lack."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gan_training, "N_JUDGED", 8)
        patch.setattr(gan_training, "N_STANDING", 2)
        patch.setattr(gan_training, "STANDING_BATCH", 8)
        patch.setattr(stacked_gan, "N_DIVERSITY", 4)
        yield


def frames(n_healthy=3, n_fatty=3, n_each=4, side=64, seed=0):
    """Blobs on a noisy background, brighter in the fatty class."""
    rng = np.random.default_rng(seed)
    n = n_healthy + n_fatty
    fatty = np.repeat(np.arange(n) >= n_healthy, n_each)
    ids = np.repeat([f"p{k}" for k in range(n)], n_each)
    base = rng.integers(40, 90, (len(fatty), side, side)) + 90 * fatty[:, None, None]
    base[:, side // 4 : side // 2, side // 4 : side // 2] += rng.integers(0, 70, (len(fatty), 1, 1))
    names = tuple(f"{one}/{k}" for k, one in enumerate(ids))
    return FrameSet(base.astype(np.uint8), fatty, tuple(str(one) for one in ids), names, is_simulated=True)


def tiny(**changes):
    given = {"width": 8, "steps": 4, "steps_per_round": 2, "batch_size": 4, "patience": 10}
    return GanOptions(**(given | changes))


@pytest.fixture(scope="module")
def trained():
    return train_generator("stacked_gan", frames(), tiny())


@pytest.fixture(scope="module")
def generator(trained):
    return load_generator(trained)


def same(first: Weights, second: Weights) -> bool:
    assert set(first.tensors) == set(second.tensors)
    return all(np.array_equal(value, second.tensors[name]) for name, value in first.tensors.items())


def test_an_image_depends_on_the_seed_and_its_number_only(generator):
    answers = np.array([True, False, True, True, False])
    whole = generator.sample(answers, seed=3)
    assert whole.shape == (5, 64, 64) and whole.dtype == np.uint8
    parts = [generator.sample(answers[:2], seed=3), generator.sample(answers[2:], seed=3, first=2)]
    assert np.array_equal(np.concatenate(parts), whole)
    assert not np.array_equal(generator.sample(answers, seed=4), whole)
    assert not np.array_equal(whole[2], whole[3])


def test_weights_go_through_a_file_and_make_the_same_images(trained, generator, tmp_path):
    save_weights(tmp_path / "gan.safetensors", trained.tensors, trained.card)
    again = load_generator(load_weights(tmp_path / "gan.safetensors", "stacked_gan"))
    asked = np.array([False, True])
    assert np.array_equal(again.sample(asked, seed=0), generator.sample(asked, seed=0))
    assert again.training_patients == tuple(f"p{k}" for k in range(6))
    assert again.is_trained_on_simulated_data


def test_the_same_training_gives_the_same_weights_and_another_seed_others(trained):
    assert same(train_generator("stacked_gan", frames(), tiny()), trained)
    assert not same(train_generator("stacked_gan", frames(), tiny(seed=1)), trained)


@pytest.fixture(scope="module")
def trained_with_everything():
    return train_generator("stacked_gan", frames(), tiny(variant="dcgan_sn_sa_stacked"))


@pytest.mark.parametrize("stopped_after", [1, 2, 5])
def test_a_stopped_training_goes_on_to_the_same_bytes(tmp_path, trained_with_everything, stopped_after):
    class Stop(Exception):
        pass

    def stop(report):
        if report.epoch == stopped_after:
            raise Stop

    options = tiny(variant="dcgan_sn_sa_stacked")
    with pytest.raises(Stop):
        train_generator("stacked_gan", frames(), options, folder=tmp_path, progress=stop)
    with pytest.raises(UnsuitableInputError, match="checkpoint in .* is of another training"):
        train_generator("stacked_gan", frames(seed=1), options, folder=tmp_path)
    reports = []
    found = train_generator("stacked_gan", frames(), options, folder=tmp_path, progress=reports.append)
    assert reports[0].epoch == stopped_after
    assert same(found, trained_with_everything)
    assert found.card == trained_with_everything.card


def test_training_the_second_stage_leaves_the_first_as_it_is():
    options, real = tiny(), frames().images[:8]
    first = build_generator(options, 0).eval().requires_grad_(False)
    before = arrays_of(first)
    stage = Adversaries(options, 1, real, lambda made: 0.0, first, "cpu", (0, 0, 1))
    own = arrays_of(stage.generator)
    stage.round(0)
    stage.judged()
    assert all(np.array_equal(before[name], value) for name, value in arrays_of(first).items())
    assert any(not np.array_equal(own[name], value) for name, value in arrays_of(stage.generator).items())


def test_a_round_moves_the_discriminator_by_its_own_loss_only():
    """The generator's step must not leave gradients in the discriminator, nor the other way round."""
    stage = Adversaries(tiny(ema=False), 0, frames().images[:8, ::2, ::2], lambda made: 0.0, None, "cpu", (0, 0, 0))
    stage.round(0)
    assert all(p.requires_grad for p in stage.discriminator.parameters())
    now, mean = (list(network.parameters()) for network in (stage.generator, stage.average))
    assert all(torch.equal(a, b) for a, b in zip(now, mean, strict=True))


def test_the_average_lags_behind_the_generator_by_default():
    stage = Adversaries(tiny(), 0, frames().images[:8, ::2, ::2], lambda made: 0.0, None, "cpu", (0, 0, 0))
    start = [p.detach().clone() for p in stage.average.parameters()]
    stage.round(0)
    for before, mean, now in zip(start, stage.average.parameters(), stage.generator.parameters(), strict=True):
        assert (mean - before).norm() < (now - before).norm()


def test_a_stage_stops_when_the_distance_falls_no_more_and_keeps_its_best_round(monkeypatch):
    distances = iter([5.0, 3.0, 4.0, 4.0] * 4)
    monkeypatch.setattr(stacked_gan.ClassJudge, "distance", lambda self, made: next(distances))
    kept = []
    whole_round = Adversaries.judged

    def judged(self):
        found = whole_round(self)
        kept.append(arrays_of(self.average))
        return found

    monkeypatch.setattr(Adversaries, "judged", judged)
    weights = train_generator("stacked_gan", frames(), tiny(variant="dcgan", steps=20, patience=2))
    assert [entry["round"] for entry in weights.card["curve"]] == [1, 2, 3, 4] * 2
    assert all(np.array_equal(weights.tensors[f"healthy/1/{name}"], value) for name, value in kept[1].items())


def test_the_judge_prefers_real_frames_to_noise_and_sees_a_collapse():
    real = frames(4, 4, 4)
    judge = stacked_gan.ClassJudge(real.images[:16], real.patient_ids[:16])
    others = frames(4, 4, 4, seed=5).images[:16]
    noise = np.random.default_rng(0).integers(0, 255, (16, 64, 64)).astype(np.uint8)
    assert judge.distance(others) < judge.distance(noise)
    assert judge.diversity(np.repeat(others[:1], 10, axis=0)) < 0.01 < judge.diversity(others)


def test_a_collapsed_generator_is_told_on_its_card(monkeypatch):
    monkeypatch.setattr(stacked_gan.ClassJudge, "diversity", lambda self, made: 0.3)
    card = train_generator("stacked_gan", frames(), tiny(steps=2)).card
    assert len(card["warnings"]) == 2
    assert "healthy images are alike" in card["warnings"][0]


def test_a_stacked_gan_learns_which_class_is_bright():
    options = tiny(variant="dcgan", steps=60, steps_per_round=30, learning_rate=4e-3)
    made = load_generator(train_generator("stacked_gan", frames(), options))
    healthy, fatty = (made.sample(np.full(8, value), seed=0).mean() for value in (False, True))
    assert fatty > healthy + 20


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_takes_steps_and_makes_images_of_the_full_side(variant):
    weights = train_generator("stacked_gan", frames(), tiny(variant=variant, steps=1, steps_per_round=1))
    assert ("healthy/2/image.bias" in weights.tensors or "healthy/2/decoder.image.bias" in weights.tensors) == (
        variant.endswith("_stacked")
    )
    assert any("attention" in name for name in weights.tensors) == ("_sa" in variant)
    assert load_generator(weights).sample(np.array([True]), seed=0).shape == (1, 64, 64)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_paper_configuration_builds_as_stated(variant):
    options = GanOptions(variant=variant, size="paper", mode="paper")
    assert options.side == 256 and options.batch_size == 16 and options.betas == (0.5, 0.999)
    assert options.rate_of(0) == options.rate_of(1) == 2e-4
    assert not options.uses_changes and not options.uses_ema
    assert options.stages == ((64, 256) if variant.endswith("_stacked") else (256,))
    with torch.device("meta"):
        assert all(build_generator(options, stage) is not None for stage in range(len(options.stages)))


def test_rounds_add_up_to_the_steps_asked_for():
    for steps, per_round in ((2, 100), (250, 100), (100, 100)):
        options = GanOptions(steps=steps, steps_per_round=per_round)
        assert sum(options.steps_in(1, number) for number in range(options.rounds_of(1))) == steps


def test_each_round_draws_anew_and_the_same_round_the_same():
    losses = []
    for number in (0, 0, 1):
        stage = Adversaries(tiny(), 0, frames().images[:8, ::2, ::2], lambda made: 0.0, None, "cpu", (0, 0, 0))
        losses.append(stage.round(number)["discriminator"])
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.slow
def test_the_paper_configuration_takes_one_step_of_each_stage():
    options = GanOptions(variant="dcgan_sn_sa_stacked", size="paper", mode="paper", steps=1, steps_per_round=1)
    first = build_generator(options, 0).eval().requires_grad_(False)
    for stage, side in enumerate(options.stages):
        real = np.random.default_rng(0).integers(0, 255, (16, side, side)).astype(np.uint8)
        one = Adversaries(options, stage, real, lambda made: 0.0, first if stage else None, "cpu", (0, 0, stage))
        before = arrays_of(one.generator)
        losses = one.round(0)
        assert all(np.isfinite(value) for value in losses.values())
        assert any(not np.array_equal(before[name], value) for name, value in arrays_of(one.generator).items())


def test_pixels_survive_the_way_to_a_network_and_back():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert np.array_equal(to_pixels(from_pixels(images)), images)
    assert gan_training.from_pixels(images).min() == -1


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (lambda: frames(n_healthy=0), "found 0 healthy and 3 fatty"),
        (lambda: frames(n_fatty=1), "found 3 healthy and 1 fatty"),
        (lambda: frames(side=48), "needs frames of 80 x 80 pixels; found 48 x 48"),
    ],
)
def test_frames_that_cannot_be_learnt_from_are_refused(found, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        stacked_gan.train("stacked_gan", found(), tiny())


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"variant": "stylegan"}, "variant needs to be one of dcgan, dcgan_stacked"),
        ({"stage_one_side": 64}, "stage_one_side needs to be one of 32; found 64"),
        ({"batch_size": 1}, "batch_size from 2 to 1024; found 1"),
        ({"width": 12}, "multiple of 8; found 12"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"betas": (0.5, 1.0)}, "two betas"),
        ({"max_minutes": 0}, "above 0; found 0"),
        ({"seed": -1}, "0 or above; found -1"),
    ],
)
def test_options_out_of_range_are_refused(values, sentence):
    with pytest.raises(UnsuitableInputError, match=sentence):
        GanOptions(**values)


def test_time_that_is_over_is_told_and_what_was_learnt_is_kept(tmp_path, trained):
    with pytest.raises(UnsuitableInputError, match="time for training is over"):
        train_generator("stacked_gan", frames(), tiny(max_minutes=1e-6), folder=tmp_path)
    assert same(train_generator("stacked_gan", frames(), tiny(), folder=tmp_path), trained)


def test_weights_that_do_not_fit_are_refused(trained):
    lacking = {name: value for name, value in trained.tensors.items() if name != "fatty/2/decoder.image.bias"}
    with pytest.raises(UnsuitableInputError, match=r"needs a tensor 'fatty/2/decoder.image.bias'"):
        load_generator(Weights(lacking, trained.card))
    with pytest.raises(UnsuitableInputError, match="needs its variant, size and training patients"):
        load_generator(Weights(trained.tensors, {**trained.card, "config": {"kind": "stacked_gan"}}))
    with pytest.raises(UnsuitableInputError, match="architecture 'stacked_gan'; found 'ldm'"):
        load_generator(Weights(trained.tensors, {**trained.card, "architecture": "ldm"}))


def test_progress_counts_every_round_and_foresees_the_end():
    reports = []
    train_generator("stacked_gan", frames(), tiny(), progress=reports.append)
    assert [one.epoch for one in reports] == list(range(9))
    assert {one.n_epochs for one in reports} == {8}
    assert reports[0].eta_s is None and reports[-1].eta_s == 0
    assert reports[1].stage == "healthy, stage 1 of 2" and reports[-1].stage == "fatty, stage 2 of 2"


def test_progress_reaches_the_end_where_a_stage_stops_early(monkeypatch):
    distances = iter([1.0, 2.0, 2.0] * 2)
    monkeypatch.setattr(stacked_gan.ClassJudge, "distance", lambda self, made: next(distances))
    told = []
    train_generator("stacked_gan", frames(), tiny(variant="dcgan", steps=20, patience=2), progress=told.append)
    done = [one.epoch for one in told]
    assert done == sorted(done) and done[-1] == told[-1].n_epochs == 20


def test_the_papers_tables_have_a_row_for_every_variant():
    assert tuple(VARIANT_NAMES) == VARIANTS == tuple(TABLE_1) == tuple(TABLE_2)[1:]
    assert min(row.fid[0] for row in TABLE_1.values()) == TABLE_1["dcgan_stacked"].fid[0]
    assert max(row.accuracy_percent for row in TABLE_2.values()) == TABLE_2["dcgan_stacked"].accuracy_percent
