"""The vocabulary scored in pieces is the vocabulary scored at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from tests.pretraining.conftest import Bench
from tunesmith.projection import guess_tokens, projected_cross_entropy, projected_token_losses


@pytest.mark.parametrize("name", ["mlm", "clm", "denoise"])
@pytest.mark.parametrize(("rows", "smoothing"), [(1, 0.0), (7, 0.1), (16, 0.0)])
def test_loss_and_gradients_are_those_of_the_whole(
    bench: Callable[..., Bench], name: str, rows: int, smoothing: float
) -> None:
    model = bench(name).model
    model.eval()
    torch.manual_seed(0)
    hidden = torch.randn(33, model.width, requires_grad=True)
    targets = torch.randint(model.vocabulary_size, (33,))
    found = []
    for most in (10**9, rows * model.vocabulary_size):
        model.zero_grad()
        hidden.grad = None
        loss = projected_cross_entropy(
            model.token_logits,
            model.projection_parameters(),
            hidden,
            targets,
            vocabulary=model.vocabulary_size,
            smoothing=smoothing,
            most_scores=most,
        )
        (loss / 33).backward()
        assert hidden.grad is not None
        gradients = [p.grad.clone() for p in model.projection_parameters() if p.grad is not None]
        assert gradients
        found.append((loss.detach(), hidden.grad.clone(), gradients))
    (one, of_one, weights_of_one), (other, of_other, weights_of_other) = found
    assert torch.allclose(one, other, rtol=1e-6)
    assert torch.allclose(of_one, of_other, atol=1e-6)
    for a, b in zip(weights_of_one, weights_of_other, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_frozen_weights_get_no_gradient() -> None:
    layer = torch.nn.Linear(4, 10)
    layer.weight.requires_grad_(False)
    hidden = torch.randn(6, 4, requires_grad=True)
    loss = projected_cross_entropy(
        layer, list(layer.parameters()), hidden, torch.arange(6), vocabulary=10, most_scores=20
    )
    loss.backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None


def test_without_gradients_only_the_sum_is_computed() -> None:
    layer = torch.nn.Linear(4, 10)
    with torch.no_grad():
        arguments = (layer, list(layer.parameters()), torch.randn(6, 4), torch.arange(6))
        pieces = projected_cross_entropy(*arguments, vocabulary=10, most_scores=20)
        whole = projected_cross_entropy(*arguments, vocabulary=10)
    assert torch.allclose(pieces, whole)


def test_losses_of_tokens_add_up_to_the_sum() -> None:
    layer = torch.nn.Linear(4, 10)
    hidden, targets = torch.randn(6, 4), torch.arange(6)
    whole = projected_cross_entropy(layer, list(layer.parameters()), hidden, targets, vocabulary=10)
    apart, hits = guess_tokens(layer, hidden, targets, vocabulary=10)
    assert apart.shape == hits.shape == (6,)
    assert torch.allclose(whole, apart.sum())
    assert hits.tolist() == (layer(hidden).argmax(dim=-1) == targets).tolist()
    assert guess_tokens(layer, hidden[:0], targets[:0], vocabulary=10)[0].shape == (0,)


@pytest.mark.parametrize("name", ["mlm", "clm", "denoise"])
@pytest.mark.parametrize("rows", [1, 7, 16])
def test_losses_of_tokens_take_a_gradient_each(bench: Callable[..., Bench], name: str, rows: int) -> None:
    model = bench(name).model
    model.eval()
    torch.manual_seed(0)
    hidden = torch.randn(33, model.width, requires_grad=True)
    targets, factors = torch.randint(model.vocabulary_size, (33,)), torch.randn(33)
    parameters = model.projection_parameters()
    plain = torch.nn.functional.cross_entropy(model.token_logits(hidden), targets, reduction="none")
    wanted = torch.autograd.grad((plain * factors).sum(), [hidden, *parameters])
    losses = projected_token_losses(
        model.token_logits,
        parameters,
        hidden,
        targets,
        vocabulary=model.vocabulary_size,
        most_scores=rows * model.vocabulary_size,
    )
    found = torch.autograd.grad((losses * factors).sum(), [hidden, *parameters])
    assert torch.allclose(losses, plain, atol=1e-6)
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("most_scores", [20, 10**6])
def test_scores_are_computed_again_as_they_were(most_scores: int) -> None:
    """The way back may lie outside of the autocast that the way there was in."""
    layer = torch.nn.Linear(4, 10)
    layer.bias.requires_grad_(False)
    hidden = torch.randn(6, 4).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        losses = projected_token_losses(
            layer, list(layer.parameters()), hidden, torch.arange(6), vocabulary=10, most_scores=most_scores
        )
    assert losses.dtype == torch.float32
    (losses * torch.arange(6)).sum().backward()
    assert hidden.grad is not None
    assert not hidden.grad[0].any(), "its factor is 0"
    assert hidden.grad[1:].any()
    assert layer.bias.grad is None
    assert layer.weight.grad is not None
    with torch.no_grad():
        again = projected_token_losses(
            layer.float(), list(layer.parameters()), hidden.float(), torch.arange(6), vocabulary=10, most_scores=20
        )
    assert torch.allclose(again, losses, atol=0.05)
