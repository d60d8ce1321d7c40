"""Trunks that the whole suite shares."""

from pathlib import Path

import pytest

from tests.contracts.harness import make_trunks


@pytest.fixture(scope="session")
def trunks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Kind of trunk → folder."""
    return make_trunks(tmp_path_factory.mktemp("contracts"))
