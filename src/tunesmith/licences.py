"""What a model's folder says of its licence, and the files that say it in full."""

from __future__ import annotations

import re
from pathlib import Path

from tunesmith.strict_yaml import FAULTS, read_yaml

CARD = "README.md"
_FILES = ("LICENSE*", "LICENCE*", "NOTICE*", "COPYING*")
_LONGEST_BYTES = 2**20
_HEADER = re.compile(r"\A---\r?\n(.*?)\r?\n---", re.DOTALL)
_SECTION = re.compile(r"^#+ +licen[cs]e\s*\n+([^\n#]+)", re.IGNORECASE | re.MULTILINE)


def stated_licence(folder: Path) -> str | None:
    """The licence that a model's card names, in its header or a section of that name; None where it names none.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "README.md").write_text("---\\nlicense: apache-2.0\\n---\\n# A model\\n")
        >>> stated_licence(folder)
        'apache-2.0'
    """
    card = _read(folder / CARD)
    if card is None:
        return None
    header = _HEADER.match(card)
    named = None if header is None else _from_header(header[1])
    if named is None:
        section = _SECTION.search(card)
        named = None if section is None else re.split(r"[,;.]\s|\.$", section[1].strip())[0]
    return None if named is None else " ".join(named.split())[:80]


def licence_files(folder: Path) -> dict[str, str]:
    """Name → text of the files that go along with every copy of a model: LICENSE, NOTICE and the like."""
    paths = sorted({path for pattern in _FILES for path in folder.glob(pattern) if path.is_file()})
    read = {path.name: _read(path) for path in paths}
    return {name: text for name, text in read.items() if text is not None}


def _read(path: Path) -> str | None:
    """A text of ordinary length; None where there is none, or something else."""
    try:
        if path.stat().st_size > _LONGEST_BYTES:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _from_header(text: str) -> str | None:
    try:
        header = read_yaml(text)
    except FAULTS:
        return None
    if not isinstance(header, dict):
        return None
    named = header.get("license")
    if named == "other":
        named = header.get("license_name") or named
    if isinstance(named, list):
        named = ", ".join(map(str, named))
    return str(named) if named else None
