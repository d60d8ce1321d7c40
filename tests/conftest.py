"""What holds for every test: no network but loopback, offline libraries, repeatable examples."""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

# Before anything imports transformers or huggingface_hub, which read these once, at import. The cache is an
# empty folder: what passes here must not depend on what the user has downloaded.
_HUB_FOLDER = tempfile.mkdtemp(prefix="tunesmith-hub-")
atexit.register(shutil.rmtree, _HUB_FOLDER, ignore_errors=True)
os.environ.update(
    HF_HOME=_HUB_FOLDER,
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
)
# Tiny models gain nothing from a second thread, and where tests share the cores they wait for it ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
settings.load_profile("repeatable")


def _is_this_machine(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else host
    if not isinstance(text, str):
        return text is None
    return text in ("", "localhost", "::1", "::", "0.0.0.0") or text.startswith("127.")


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Fail the test that looks up or connects to anything but this machine.

    An audit hook, because it also sees what goes round Python's own socket class. It fails with pytest's own
    BaseException, so that no `except Exception` in a library can hide it.
    """
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # an AF_UNIX address is a path
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not _is_this_machine(host):
        pytest.fail(f"a test reached for the network: {event} {host!r}; only loopback is allowed")


sys.addaudithook(_refuse_network)


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random BERT with its tokenizer, as a Hugging Face folder."""
    from tests.tiny import make_tiny_trunk

    return make_tiny_trunk(tmp_path_factory.mktemp("trunks") / "bert")
