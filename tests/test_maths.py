"""The formulas of docs/maths.md, in NumPy, against automatic differentiation and the package's losses."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tunesmith.losses import classification_loss, multi_label_loss, squared_error

ROWS, CLASSES = 9, 4
TOLERANCE = {"rtol": 0.0, "atol": 1e-10}
Array = np.ndarray
SETTINGS = [
    pytest.param(weighted, smoothing, gamma, id=f"weights={weighted} s={smoothing} gamma={gamma}")
    for weighted in (False, True)
    for smoothing in (0.0, 0.1)
    for gamma in (0.0, 0.5, 1.0, 2.0, 3.7)
]


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def softmax(z: Array) -> Array:
    exponentials = np.exp(z - z.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def f(p: Array, gamma: float) -> Array:
    """§7."""
    return -((1 - p) ** gamma) * np.log(p)


def h(p: Array, gamma: float) -> Array:
    """§7: p (1 - p) f'(p)."""
    return gamma * p * (1 - p) ** gamma * np.log(p) - (1 - p) ** (gamma + 1)


def one_class(z: Array, y: Array, w: Array, s: float, gamma: float) -> tuple[float, Array]:
    """§3, 5, 6, 7: loss summed over rows, and its gradient."""
    p, q = softmax(z), (1 - s) * y + s / CLASSES
    g = w * q * (gamma * p * (1 - p) ** (gamma - 1) * np.log(p) - (1 - p) ** gamma)
    return float((w * q * f(p, gamma)).sum()), g - p * g.sum(axis=1, keepdims=True)


def several_labels(z: Array, y: Array, w: Array, s: float, gamma: float) -> tuple[float, Array]:
    """§4, 5, 6, 7: loss summed over rows, and its gradient."""
    p, q = sigmoid(z), (1 - s) * y + s / 2
    loss = w * q * f(p, gamma) + (1 - q) * f(1 - p, gamma)
    gradient = w * q * h(p, gamma) - (1 - q) * h(1 - p, gamma)
    return float(loss.sum() / z.shape[1]), gradient / z.shape[1]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def z(rng: np.random.Generator) -> Array:
    return 3 * rng.normal(size=(ROWS, CLASSES))


@pytest.fixture
def classes(rng: np.random.Generator) -> Array:
    return rng.integers(CLASSES, size=ROWS)


def weights(weighted: bool, rng: np.random.Generator) -> Array:
    return rng.uniform(0.2, 3.0, size=CLASSES) if weighted else np.ones(CLASSES)


def by_torch(loss_of: Callable[[torch.Tensor], torch.Tensor], z: Array) -> tuple[float, Array]:
    """The loss and automatic differentiation's gradient."""
    logits = torch.tensor(z, requires_grad=True)
    loss = loss_of(logits)
    loss.backward()
    return float(loss.detach()), logits.grad.numpy()


def agree(formula: tuple[float, Array], loss_of: Callable[[torch.Tensor], torch.Tensor], z: Array) -> None:
    loss, gradient = by_torch(loss_of, z)
    np.testing.assert_allclose(loss, formula[0], **TOLERANCE)
    np.testing.assert_allclose(gradient, formula[1], **TOLERANCE)


@pytest.mark.parametrize(("weighted", "smoothing", "gamma"), SETTINGS)
def test_one_class_a_row(z, classes, rng, weighted, smoothing, gamma) -> None:
    w, y = weights(weighted, rng), np.eye(CLASSES)[classes]
    formula = one_class(z, y, w, smoothing, gamma)
    options = {"class_weights": torch.tensor(w), "smoothing": smoothing, "focal_gamma": gamma}
    agree(formula, lambda logits: classification_loss(logits, torch.tensor(classes), **options)[0], z)

    def written_out(logits: torch.Tensor) -> torch.Tensor:
        p, q = logits.softmax(1), torch.tensor((1 - smoothing) * y + smoothing / CLASSES)
        return -(torch.tensor(w) * q * (1 - p) ** gamma * p.log()).sum()

    agree(formula, written_out, z)
    _, units = classification_loss(torch.tensor(z), torch.tensor(classes), **options)
    assert units == pytest.approx(w[classes].sum())


@pytest.mark.parametrize(("weighted", "smoothing", "gamma"), SETTINGS)
def test_several_labels_a_row(z, rng, weighted, smoothing, gamma) -> None:
    w, y = weights(weighted, rng), rng.integers(2, size=z.shape).astype(float)
    formula = several_labels(z, y, w, smoothing, gamma)
    options = {"class_weights": torch.tensor(w), "smoothing": smoothing, "focal_gamma": gamma}
    agree(formula, lambda logits: multi_label_loss(logits, torch.tensor(y), **options)[0], z)

    def written_out(logits: torch.Tensor) -> torch.Tensor:
        p, q = logits.sigmoid(), torch.tensor((1 - smoothing) * y + smoothing / 2)
        yes, no = -((1 - p) ** gamma) * p.log(), -(p**gamma) * (1 - p).log()
        return (torch.tensor(w) * q * yes + (1 - q) * no).mean(1).sum()

    agree(formula, written_out, z)


def test_binary_gradient_is_prediction_minus_target(z) -> None:
    """§2, and §3: two classes are the sigmoid of the difference of their logits."""
    one, y = z[:, :1], np.arange(ROWS)[:, None] % 2
    p = sigmoid(one)
    loss = float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).sum())
    agree((loss, p - y), lambda logits: multi_label_loss(logits, torch.tensor(y))[0], one)
    two = np.hstack([np.zeros_like(one), one])
    as_classes, _ = classification_loss(torch.tensor(two), torch.tensor(y[:, 0]))
    assert float(as_classes) == pytest.approx(loss, abs=1e-10)


def test_plain_gradients_are_prediction_minus_target(z, classes, rng) -> None:
    """§3 and §4 with no options: the general formulas become the short ones."""
    ones, y = np.ones(CLASSES), np.eye(CLASSES)[classes]
    np.testing.assert_allclose(one_class(z, y, ones, 0, 0)[1], softmax(z) - y, **TOLERANCE)
    np.testing.assert_allclose(several_labels(z, y, ones, 0, 0)[1], (sigmoid(z) - y) / CLASSES, **TOLERANCE)
    w = weights(True, rng)
    weighted = w[classes][:, None] * (softmax(z) - y)
    np.testing.assert_allclose(one_class(z, y, w, 0, 0)[1], weighted, **TOLERANCE)


def test_second_derivative_is_a_covariance(z, classes) -> None:
    """§3: the loss is convex in the logits."""
    target = torch.tensor(classes[:1])

    def loss_of(logits: torch.Tensor) -> torch.Tensor:
        return classification_loss(logits.unsqueeze(0), target)[0]

    second = torch.autograd.functional.hessian(loss_of, torch.tensor(z[0])).numpy()
    p = softmax(z[:1])[0]
    np.testing.assert_allclose(second, np.diag(p) - np.outer(p, p), **TOLERANCE)
    assert np.linalg.eigvalsh(second).min() > -1e-12


def test_gradient_of_the_last_layer(z, classes, rng) -> None:
    """§3: dL/dW = (p - q) hᵀ, dL/db = p - q, dL/dh = Wᵀ (p - q)."""
    hidden, matrix, bias = rng.normal(size=6), rng.normal(size=(CLASSES, 6)), rng.normal(size=CLASSES)
    h_, w_, b_ = (torch.tensor(x, requires_grad=True) for x in (hidden, matrix, bias))
    classification_loss((w_ @ h_ + b_).unsqueeze(0), torch.tensor(classes[:1]))[0].backward()
    error = softmax((matrix @ hidden + bias)[None])[0] - np.eye(CLASSES)[classes[0]]
    np.testing.assert_allclose(w_.grad.numpy(), np.outer(error, hidden), **TOLERANCE)
    np.testing.assert_allclose(b_.grad.numpy(), error, **TOLERANCE)
    np.testing.assert_allclose(h_.grad.numpy(), matrix.T @ error, **TOLERANCE)


def test_smoothed_loss_is_least_at_its_targets(classes) -> None:
    """§5: the gradient is 0 at finite logits with p = q, and the loss there is the entropy of q."""
    q = 0.9 * np.eye(CLASSES)[classes] + 0.1 / CLASSES
    targets = torch.tensor(classes)
    loss, gradient = by_torch(lambda logits: classification_loss(logits, targets, smoothing=0.1)[0], np.log(q))
    assert loss == pytest.approx(-(q * np.log(q)).sum())
    np.testing.assert_allclose(gradient, 0, **TOLERANCE)


def test_squared_error_gradient(z) -> None:
    """§8."""
    x, y = z[:, 0], z[:, 1]
    formula = float(((x - y) ** 2).sum()), 2 * (x - y)
    agree(formula, lambda numbers: squared_error(numbers, torch.tensor(y))[0], x)


def test_a_model_that_knows_nothing_starts_at_log_classes(classes) -> None:
    """§1."""
    loss, units = classification_loss(torch.zeros(ROWS, CLASSES), torch.tensor(classes))
    assert float(loss / units) == pytest.approx(np.log(CLASSES))


@pytest.mark.parametrize("cuts", [[4], [1, 2, 8], list(range(1, ROWS))])
def test_any_split_gives_the_same_step(z, classes, rng, cuts) -> None:
    """§9, with weights, so that units differ between rows."""
    options = {"class_weights": torch.tensor(weights(True, rng)), "smoothing": 0.1, "focal_gamma": 1.5}
    targets = torch.tensor(classes)

    def step(edges: list[int]) -> Array:
        logits, units = torch.tensor(z, requires_grad=True), 0.0
        for low, high in zip([0, *edges], [*edges, ROWS], strict=True):
            loss, count = classification_loss(logits[low:high], targets[low:high], **options)
            loss.backward()
            units += count
        return logits.grad.numpy() / units

    np.testing.assert_allclose(step(cuts), step([]), **TOLERANCE)
