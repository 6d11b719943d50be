"""The folder that several cores of one platform share: marked, so that no core takes another one for it."""

from __future__ import annotations

import json
from pathlib import Path

from lepton_ai.backends.certificates import write_whole
from lepton_ai.errors import InvalidInput, StorageFailed

MARK = "platform.json"
MACHINE_ID = Path("/etc/machine-id")  # machine-id(5): one for each installation, the same after each boot


def check_shared_folder(
    folder: Path, key_hash: str, *, is_new: bool, is_one_machine: bool, machine_file: Path = MACHINE_ID
) -> None:
    """Mark the folder of a platform that `is_new`; raise InvalidInput for one that is not this platform's.

    `is_one_machine`: what runs is known in that folder by process, so that no core elsewhere may take it over.
    """
    path = folder / MARK
    machine = _machine(machine_file)
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        found = {}
    except (OSError, ValueError) as error:
        raise StorageFailed(f"{path} cannot be read: {error}.", hint="Restore it from a backup.") from error
    if not found and not is_new:
        raise InvalidInput(
            f"{folder} is not the folder that the cores of this platform share: it has no {MARK}.",
            hint="Is it mounted? Set LEPTON_SHARED to the folder that the first core has.",
        )
    if found and found.get("key_hash") != key_hash:
        raise InvalidInput(
            f"{folder} belongs to another platform than the database.",
            hint="Give each platform a database and a folder of its own.",
        )
    if is_one_machine and machine and found.get("machine", machine) != machine:
        raise InvalidInput(
            f"What runs in {folder} belongs to another machine, and this one could not tell whether it still runs.",
            hint="Without a Ray cluster all cores must be on one machine. See: docs/operations.md",
        )
    if not found:
        try:
            write_whole(path, json.dumps({"key_hash": key_hash, "machine": machine}).encode())
        except OSError as error:
            raise StorageFailed(
                f"{path} cannot be written: {error.strerror}.", hint="Mend its owner or mode."
            ) from error


def _machine(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
