"""Losses equal torch's own, add over groups and have the right gradient."""

import pytest
import torch
from torch.nn import functional

from tunesmith.losses import classification_loss, multi_label_loss, squared_error

ROWS, CLASSES = 12, 5


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(ROWS, CLASSES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def classes() -> torch.Tensor:
    return torch.randint(CLASSES, (ROWS,), generator=torch.Generator().manual_seed(2))


@pytest.fixture
def sets() -> torch.Tensor:
    return torch.randint(2, (ROWS, CLASSES), generator=torch.Generator().manual_seed(3)).double()


WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 0.1, 3.0], dtype=torch.float64)
OPTIONS = [
    pytest.param({"class_weights": weights, "smoothing": smoothing, "focal_gamma": gamma})
    for weights in (None, WEIGHTS)
    for smoothing in (0.0, 0.1)
    for gamma in (0.0, 2.0)
]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_mean_equals_torch_cross_entropy(logits, classes, weights, smoothing) -> None:
    loss, units = classification_loss(logits, classes, class_weights=weights, smoothing=smoothing)
    expected = functional.cross_entropy(logits, classes, weight=weights, label_smoothing=smoothing)
    torch.testing.assert_close(loss / units, expected, rtol=1e-12, atol=0)


def test_focal_loss_is_the_papers_formula(logits, classes) -> None:
    loss, units = classification_loss(logits, classes, class_weights=WEIGHTS, focal_gamma=1.5)
    p = logits.softmax(1)[torch.arange(ROWS), classes]
    expected = (-WEIGHTS[classes] * (1 - p) ** 1.5 * p.log()).sum()
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    assert units == pytest.approx(float(WEIGHTS[classes].sum()))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_mean_equals_torch_binary_cross_entropy(logits, sets, weights) -> None:
    loss, units = multi_label_loss(logits, sets, class_weights=weights)
    expected = functional.binary_cross_entropy_with_logits(logits, sets, pos_weight=weights)
    torch.testing.assert_close(loss / units, expected, rtol=1e-12, atol=0)
    assert units == ROWS


def test_smoothing_of_sets_moves_targets_towards_a_half(logits, sets) -> None:
    loss, units = multi_label_loss(logits, sets, smoothing=0.2)
    expected = functional.binary_cross_entropy_with_logits(logits, sets * 0.8 + 0.1)
    torch.testing.assert_close(loss / units, expected, rtol=1e-12, atol=0)


def test_focal_loss_of_sets_is_the_papers_formula(logits, sets) -> None:
    loss, _ = multi_label_loss(logits, sets, focal_gamma=2.0)
    p = logits.sigmoid()
    right = torch.where(sets == 1, p, 1 - p)
    torch.testing.assert_close(loss, -((1 - right) ** 2 * right.log()).sum() / CLASSES, rtol=1e-10, atol=0)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("function", [classification_loss, multi_label_loss])
def test_losses_of_two_groups_add(logits, classes, sets, function, options) -> None:
    targets = classes if function is classification_loss else sets
    whole, units = function(logits, targets, **options)
    parts = [function(logits[rows], targets[rows], **options) for rows in (slice(5), slice(5, None))]
    torch.testing.assert_close(parts[0][0] + parts[1][0], whole, rtol=1e-12, atol=0)
    assert parts[0][1] + parts[1][1] == pytest.approx(units)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("function", [classification_loss, multi_label_loss])
def test_gradient_is_that_of_finite_differences(logits, classes, sets, function, options) -> None:
    targets = classes if function is classification_loss else sets
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: function(z, targets, **options)[0], (logits,))


def test_squared_error_is_torchs() -> None:
    predictions, targets = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([1.5, 2.0, 3.0])
    loss, units = squared_error(predictions, targets)
    torch.testing.assert_close(loss / units, functional.mse_loss(predictions, targets))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(logits, classes, sets, precision) -> None:
    half = logits.to(precision)
    for loss, same in (
        (classification_loss(half, classes)[0], classification_loss(half.float(), classes)[0]),
        (multi_label_loss(half, sets)[0], multi_label_loss(half.float(), sets)[0]),
        (squared_error(half[:, 0], sets[:, 0])[0], squared_error(half[:, 0].float(), sets[:, 0])[0]),
    ):
        assert loss.dtype == torch.float32
        assert torch.equal(loss, same)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_a_perfectly_sure_model_has_a_finite_gradient(gamma: float) -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    for loss, _ in (
        classification_loss(logits, torch.tensor([0, 0]), focal_gamma=gamma),
        multi_label_loss(logits, torch.tensor([[1, 0], [1, 0]]), focal_gamma=gamma),
    ):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss > 50  # the row that is surely wrong
        assert gradient.isfinite().all()
