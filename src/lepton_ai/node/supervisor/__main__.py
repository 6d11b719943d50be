"""Starts the supervisor as a plain file, without the package around it and without site-packages."""

import os
import sys

# Appended, so that no module of ours can ever stand before one of the standard library. This file itself is compiled at
# each start; the modules behind it come from their cached byte code.
sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from supervisor.supervise import main  # type: ignore[import-not-found]

main()
