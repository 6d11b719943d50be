"""What a user is told when an installer fails; the outputs are those of pip 23 and 26."""

from __future__ import annotations

from lepton_ai.errors import InvalidInput, StorageFailed, Unavailable
from lepton_ai.node.installer import explain_failure

NO_VERSION = (
    "Looking in indexes: https://pypi.org/simple",
    "Collecting six",
    "ERROR: Could not find a version that satisfies the requirement nope==1.0 (from versions: none)",
    "ERROR: No matching distribution found for nope==1.0",
    "[notice] A new release of pip is available",
)
CONFLICT = (
    "ERROR: Cannot install numpy<2 and pandas==3 because these package versions have conflicting dependencies.",
    "ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/",
)
NO_NETWORK = (
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)': /simple/six/",
    "ERROR: Could not find a version that satisfies the requirement six (from versions: none)",
    "ERROR: No matching distribution found for six",
)
FULL = ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",)


def test_a_missing_version_names_the_requirement_and_what_the_installer_said() -> None:
    error = explain_failure(NO_VERSION, ("nope==1.0", "six"))

    assert isinstance(error, InvalidInput)
    assert error.message.startswith("The requirement nope==1.0 cannot be installed:")
    assert "No matching distribution found for nope==1.0" in error.message
    assert "[notice]" not in error.message
    assert error.hint


def test_a_conflict_names_the_whole_set() -> None:
    error = explain_failure(CONFLICT, ("numpy<2", "pandas==3"))

    assert isinstance(error, InvalidInput)
    assert "(numpy<2, pandas==3)" in error.message
    assert "conflicting dependencies" in error.message


def test_an_index_that_cannot_be_reached_is_not_the_users_mistake() -> None:
    error = explain_failure(NO_NETWORK, ("six",))

    assert isinstance(error, Unavailable)
    assert not isinstance(error, StorageFailed)
    assert "cannot be reached" in error.message


def test_a_full_disk_is_named_as_such() -> None:
    assert isinstance(explain_failure(FULL, ("six",)), StorageFailed)
