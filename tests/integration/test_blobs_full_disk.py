"""The blob store when the system refuses to write: a process that may write files of 64 kB at most (setrlimit)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import hashlib, resource, sys
from pathlib import Path
from lepton_ai.backends.blobs import BlobStore
from lepton_ai.errors import StorageFailed
folder = Path(sys.argv[1])
store = BlobStore(folder)
content = bytes(1_000_000)
digest = "sha256:" + hashlib.sha256(content).hexdigest()
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    store.put(digest, [content], bytes_max=2_000_000)
except StorageFailed as error:
    print(error)
print([str(path) for path in folder.rglob("*") if path.is_file()])
"""


def test_a_refused_write_fails_with_path_and_free_bytes_and_leaves_no_partial_file(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )

    error, files = run.stdout.splitlines()
    assert str(tmp_path) in error
    assert "File too large" in error
    assert "are free there" in error
    assert files == "[]"
