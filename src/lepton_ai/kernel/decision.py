"""What a service wants done about one object: a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lepton_ai.kernel.change import Change


@dataclass(frozen=True, slots=True)
class Decision:
    """What a service wants done about one object, and when it must be asked again at the latest."""

    changes: tuple[Change, ...] = ()
    look_again_at: datetime | None = None
    depends_on: tuple[str, ...] = ()  # ids: decide again as soon as one of them changes
