"""The CRF against enumeration of all tag sequences."""

import itertools

import pytest
import torch

from tunesmith.crf import best_tags, marginals, negative_log_likelihood

LENGTHS = torch.tensor([4, 1, 3])


@pytest.fixture
def scores() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (
        torch.randn(3, 4, 3, generator=generator),
        torch.randn(3, generator=generator),
        torch.randn(3, 3, generator=generator),
    )


def enumerate_paths(
    emissions: torch.Tensor, length: int, start: torch.Tensor, transitions: torch.Tensor
) -> dict[tuple[int, ...], float]:
    """Score of every tag sequence, from the definition."""
    found = {}
    for tags in itertools.product(range(len(start)), repeat=length):
        score = start[tags[0]] + sum(emissions[place, tag] for place, tag in enumerate(tags))
        found[tags] = float(score + sum(transitions[one, two] for one, two in itertools.pairwise(tags)))
    return found


def test_likelihood_best_tags_and_marginals_are_those_of_all_sequences(
    scores: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    emissions, start, transitions = scores
    targets = torch.tensor([[0, 2, 1, 1], [2, 0, 0, 0], [1, 1, 0, 2]])
    losses = negative_log_likelihood(emissions, targets, LENGTHS, start, transitions)
    best = best_tags(emissions, LENGTHS, start, transitions)
    shares = marginals(emissions, LENGTHS, start, transitions)
    for row, length in enumerate(LENGTHS.tolist()):
        paths = enumerate_paths(emissions[row], length, start, transitions)
        total = torch.tensor(list(paths.values())).logsumexp(0)
        assert float(losses[row]) == pytest.approx(
            float(total) - paths[tuple(targets[row, :length].tolist())], rel=1e-5
        )
        assert tuple(best[row, :length].tolist()) == max(paths, key=paths.__getitem__)
        for place in range(length):
            for tag in range(3):
                inside = [score for tags, score in paths.items() if tags[place] == tag]
                share = torch.tensor(inside).logsumexp(0) - total
                assert float(shares[row, place, tag]) == pytest.approx(float(share.exp()), abs=1e-5)


def test_what_stands_behind_the_end_changes_nothing(scores: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    emissions, start, transitions = scores
    other = emissions.clone()
    other[1, 1:] = 100.0
    targets = torch.zeros(3, 4, dtype=torch.int64)
    for function in (best_tags, marginals):
        one, two = (function(values, LENGTHS, start, transitions)[1, 0] for values in (emissions, other))
        assert torch.equal(one, two)
    losses = [negative_log_likelihood(values, targets, LENGTHS, start, transitions) for values in (emissions, other)]
    assert torch.equal(losses[0], losses[1])


def test_gradient_of_the_loss_is_exact(scores: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    emissions, start, transitions = (values.clone().requires_grad_() for values in scores)
    targets = torch.tensor([[0, 2, 1, 1], [2, 0, 0, 0], [1, 1, 0, 2]])
    negative_log_likelihood(emissions, targets, LENGTHS, start, transitions).sum().backward()
    assert emissions.grad is not None
    shares = marginals(emissions, LENGTHS, start, transitions)
    for row, length in enumerate(LENGTHS.tolist()):
        wanted = shares[row, :length] - torch.nn.functional.one_hot(targets[row, :length], 3)
        torch.testing.assert_close(emissions.grad[row, :length], wanted, atol=1e-5, rtol=0)
        assert not emissions.grad[row, length:].any()
