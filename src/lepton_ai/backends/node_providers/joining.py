"""Pure: how a machine that a provider made is told to join, with the token where no list of processes shows it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from lepton_ai.kernel.node_providers import NodeOrder

TOKEN_VARIABLE = "LEPTON_JOIN_TOKEN"  # noqa: S105 - a variable's name
TAIL_CHARACTERS = 2000


def join_words(order: NodeOrder) -> Sequence[str]:
    """Return the words after `lepton` that make a machine the node; the token is not among them."""
    labels = [word for key, value in sorted(order.labels.items()) for word in ("--label", f"{key}={value}")]
    return ["join", order.url, "--name", order.name, *labels]


def join_script(order: NodeOrder) -> str:
    """Return what the machine is to run once it is up, as a shell script: cloud-init takes it as user data."""
    line = shlex.join(["lepton", *join_words(order)])
    return f"#!/bin/sh\nexport {TOKEN_VARIABLE}={shlex.quote(order.token)}\nexec {line}\n"


def tail(output: str, secret: str) -> str:
    """Return the end of what a tool printed, without the secret."""
    text = output.strip()
    return (text.replace(secret, "***") if secret else text)[-TAIL_CHARACTERS:]


def without_own(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what is the core's own."""
    return {name: value for name, value in environment.items() if not name.startswith(("LEPTON_", "RAY_"))}
