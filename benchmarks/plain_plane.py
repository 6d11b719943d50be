"""A trial of the data plane without TLS: HAProxy on the platform's own configuration, with a plain port instead.

The product has no such port. It shows which part of the data plane's cost is TLS's.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.instance import Instance
from benchmarks.served import free_port, wait_until_open
from lepton_ai.backends.haproxy.process import find_binary

CONFIG = "haproxy.cfg"


@contextmanager
def plain_plane(instance: Instance) -> Iterator[int]:
    """Run a second HAProxy with the rules, the maps and the servers of the platform's; give its plain port."""
    port, folder = free_port(), instance.home / "haproxy"
    with tempfile.TemporaryDirectory(prefix="lepton-plain-") as other:
        config = Path(other) / CONFIG
        config.write_text(without_tls((folder / CONFIG).read_text(), port, folder, Path(other)))
        process = subprocess.Popen([find_binary(), "-f", str(config), "-db"], stderr=subprocess.DEVNULL)
        try:
            wait_until_open(port)
            yield port
        finally:
            process.terminate()
            process.wait(30)


def without_tls(config: str, port: int, maps: Path, sockets: Path) -> str:
    """Return the configuration with a plain port, maps read where they are, and sockets that disturb nobody."""
    changed, binds = re.subn(r"^( *bind )\S+ ssl .*$", rf"\g<1>127.0.0.1:{port}", config, flags=re.MULTILINE)
    assert binds == 1, "the configuration has not the one TLS port that this expects"
    changed = re.sub(r"^ *stats socket .*$", "", changed, flags=re.MULTILINE)
    changed = re.sub(r"unix@\S+/activator\.sock", f"unix@{sockets}/activator.sock", changed)
    return changed.replace("default-path config", f"default-path origin {maps}")
