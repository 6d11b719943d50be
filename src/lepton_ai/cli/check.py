"""One finding of `lepton doctor`: what was looked at, whether it is well, and the command that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """A missing extra or a core that is not started is a remark; only `broken` fails the doctor."""

    WELL = "well"
    REMARK = "remark"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """`mend` is what to do about it, empty if there is nothing to do."""

    name: str
    verdict: Verdict
    sentence: str
    mend: str = ""


def well(name: str, sentence: str) -> Check:
    return Check(name, Verdict.WELL, sentence)


def remark(name: str, sentence: str, mend: str = "") -> Check:
    return Check(name, Verdict.REMARK, sentence, mend)


def broken(name: str, sentence: str, mend: str) -> Check:
    return Check(name, Verdict.BROKEN, sentence, mend)
