import torch

from liver_models.synthesis.diff_augment import Changes, apply_changes, draw_changes, no_changes


def images(n=3, side=16):
    return torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def changed(n=3, **values):
    return Changes(**{**vars(no_changes(n)), **values})


def test_no_changes_change_nothing():
    assert torch.allclose(apply_changes(images(), no_changes(3)), images(), atol=1e-6)


def test_a_translation_is_a_roll_with_zeros_moved_in():
    found = apply_changes(images(), changed(translation=torch.tensor([[2 / 16, -3 / 16]] * 3)))
    expected = torch.roll(images(), (2, -3), dims=(2, 3))
    expected[:, :, :2] = 0
    expected[:, :, :, -3:] = 0
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_cutout_is_a_square_of_zeros_cut_off_at_the_border():
    found = apply_changes(
        images(1), changed(1, cutout_centre=torch.tensor([[0.5, 0.0]]), cutout_side=torch.tensor([0.5]))
    )
    zeros = found[0, 0] == 0
    assert zeros[4:12, :4].all()
    assert zeros.sum() == 8 * 4


def test_brightness_moves_the_mean_and_contrast_only_the_spread():
    brighter = apply_changes(images(), changed(brightness=torch.full((3,), 0.3)))
    assert torch.allclose(brighter - images(), torch.tensor(0.3), atol=1e-6)
    flatter = apply_changes(images(), changed(contrast=torch.full((3,), 0.5)))
    axes = (1, 2, 3)
    assert torch.allclose(flatter.mean(axes), images().mean(axes), atol=1e-6)
    assert torch.allclose(flatter.std(axes), images().std(axes) / 2, atol=1e-6)


def test_gradients_reach_every_image_through_drawn_changes():
    x = images(8).requires_grad_()
    apply_changes(x, draw_changes(8, torch.Generator().manual_seed(3))).square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert (x.grad.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_an_image_changes_the_same_alone_and_in_a_batch():
    changes = draw_changes(3, torch.Generator().manual_seed(4))
    second = Changes(**{name: value[1:2] for name, value in vars(changes).items()})
    assert torch.allclose(apply_changes(images(), changes)[1:2], apply_changes(images()[1:2], second), atol=1e-6)


def test_the_same_seed_draws_the_same_changes_and_another_draws_others():
    first, again, other = (draw_changes(5, torch.Generator().manual_seed(k)) for k in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(vars(first).values(), vars(again).values(), strict=True))
    assert not torch.equal(first.brightness, other.brightness)
