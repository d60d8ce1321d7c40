"""Dropout masks cut from a pool that is drawn once, instead of drawn anew for every layer.

Drawing random numbers took a fifth of a training step on a CPU. A mask is a piece of the pool from a random place;
the place depends on (seed, step, position in the step) only, so a resumed run sees the same masks. Each mask by itself
is as random as a drawn one; two masks share values only where their pieces overlap, shifted against each other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

POOL_VALUES = 2**22


class MaskPool:
    """Masks of a run.

    Args:
        seed: of the run; the pool's values and the places of all masks depend on it.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._pools: dict[tuple[float, torch.dtype], Tensor] = {}
        self._places = random.Random(0)

    def begin_step(self, step: int) -> None:
        """Set the places of the masks that follow."""
        self._places = random.Random(f"masks/{self.seed}/{step}")

    def drop(self, values: Tensor, share: float) -> Tensor:
        """Set a random `share` of the values to 0 and scale the others by 1 / (1 − share) (Srivastava et al. 2014).

        Args:
            values: any shape; on a CPU.
            share: 0 ≤ share < 1.

        Example:
            >>> pool = MaskPool(seed=1)
            >>> pool.begin_step(1)
            >>> sorted(set(pool.drop(torch.ones(1000), 0.5).tolist()))
            [0.0, 2.0]
        """
        return values if share == 0 else values * self.cut(values.shape, values.dtype, share)

    def cut(self, shape: Sequence[int], dtype: torch.dtype, share: float) -> Tensor:
        """The next mask: 0 where a value is dropped, 1 / (1 − share) elsewhere. Perhaps a view: never write into it."""
        pool = self._pool(share, dtype)
        pieces, wanted = [], math.prod(shape)
        while wanted > 0:
            start = self._places.randrange(POOL_VALUES)
            pieces.append(pool[start : start + min(wanted, POOL_VALUES - start)])
            wanted -= len(pieces[-1])
        return (pieces[0] if len(pieces) == 1 else torch.cat(pieces)).view(*shape)

    def _pool(self, share: float, dtype: torch.dtype) -> Tensor:
        key = (share, dtype)
        if key not in self._pools:
            generator = torch.Generator().manual_seed(self.seed)
            kept = torch.rand(POOL_VALUES, generator=generator) >= share
            self._pools[key] = kept.to(dtype) / (1 - share)
        return self._pools[key]


def use_pool(model: nn.Module, pool: MaskPool | None) -> None:
    """Let every nn.Dropout of a model take its masks from a pool, or draw them itself again (None).

    Args:
        model: its dropout modules keep their shares and their training flags.
        pool: where masks come from.
    """
    for module in model.modules():
        if type(module) is nn.Dropout:
            vars(module).pop("forward", None)
            if pool is not None:
                vars(module)["forward"] = _pooled(module, pool)


def _pooled(module: nn.Dropout, pool: MaskPool) -> Any:
    return lambda values: pool.drop(values, module.p) if module.training else values
