"""Reads YAML that may be hostile: bounded in bytes, depth and expanded size, and never more than plain values."""

from __future__ import annotations

from typing import Any

import yaml

from lepton_ai.errors import InvalidInput, TooLarge

YAML_BYTES_MAX = 4 * 1024 * 1024  # what the core takes; 10,000 lines are 0.5 MB
DOCUMENTS_MAX = 1000
DEPTH_MAX = 50  # a spec is 5 deep. The C loader recurses, and crashes the process at some 10,000
VALUES_MAX = 1_000_000  # with aliases written out: ten lines of them can stand for 10^9 values ("billion laughs")

# Measured: 4 MB take the C loader 4 s, the one in Python 25 s.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_documents(text: bytes, source: str) -> list[dict[str, object]]:
    """Return the documents; raises InvalidInput with the place that is no YAML, or no object, and TooLarge."""
    if len(text) > YAML_BYTES_MAX:
        raise TooLarge(
            f"{source} has more than {YAML_BYTES_MAX:,} bytes.",
            hint="Split it; data belongs into files that a job reads.",
        )
    try:
        _check_depth(text, source)
        documents = [each for each in yaml.load_all(text, Loader=_Loader) if each is not None]
    except (yaml.YAMLError, ValueError) as error:
        said = " ".join(str(error).replace("<byte string>", source).split())[:300]
        raise InvalidInput(f"{source} is not valid YAML: {said}", hint="Nothing was applied.") from error
    if not 0 < len(documents) <= DOCUMENTS_MAX:
        raise InvalidInput(f"{source} holds {len(documents)} documents; 1 to {DOCUMENTS_MAX} can be applied.")
    for number, document in enumerate(documents, 1):
        if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
            raise InvalidInput(
                f"Document {number} of {source} is not an object with kind, metadata and spec.",
                hint="See an example: lepton apply --help",
            )
        if _count(document, {}) > VALUES_MAX:
            raise TooLarge(f"Document {number} of {source} has more than {VALUES_MAX:,} values, aliases written out.")
    return documents


def _check_depth(text: bytes, source: str) -> None:
    """Refuse what is nested too deeply, looking at the events alone, which the parser yields without recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise InvalidInput(f"{source} is nested more than {DEPTH_MAX} levels deep.", hint="Nothing was applied.")


def _count(value: object, known: dict[int, int]) -> int:
    """Return how many values this is with aliases written out; one that holds itself is infinitely many."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = VALUES_MAX + 1  # What is met again before it is counted holds itself.
        children = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(child, known) for child in children)
    return known[id(value)]
