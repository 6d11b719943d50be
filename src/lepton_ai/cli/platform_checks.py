"""What `lepton doctor` looks at in the state folder: the core, its port, its certificates and the profiles."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from lepton_ai.cli.check import Check, broken, remark, well
from lepton_ai.cli.core_process import RunningCore, find_core, is_held
from lepton_ai.errors import LeptonError
from lepton_ai.settings import Settings

OTHERS = 0o077
RENEW_SOON = timedelta(days=14)  # the core renews 30 days before the end, whenever it starts
CERTIFICATES = ("tls/ca.pem", "tls/server.pem")


def platform_checks(settings: Settings, ask: Callable[[], object], now: datetime) -> Iterator[Check]:
    """Yield what was found. `ask` raises LeptonError unless the core answers."""
    core = find_core(settings.home)
    yield check_core(core, ask, is_starting=is_held(settings.home))
    if core is None:
        yield check_port(settings.address, settings.port)
    yield from check_private_files(settings.home)
    yield from check_certificates(settings.home, now)


def check_core(core: RunningCore | None, ask: Callable[[], object], *, is_starting: bool) -> Check:
    if core is None:
        sentence = "a core is starting on this state folder" if is_starting else "not running"
        return remark("Core", sentence, "lepton up")
    try:
        ask()
    except LeptonError as error:
        sentence = f"process {core.pid} runs, but {core.url} does not answer well: {error.message}"
        return broken("Core", sentence, error.hint or "lepton down; lepton up")
    return well("Core", f"{core.version} answers at {core.url} (process {core.pid})")


def check_port(address: str, port: int) -> Check:
    """Try to listen as HAProxy will."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            why = f"{address} port {port} cannot be listened on: {error.strerror}"
            return broken("Port", why, "Stop the program that holds it, or choose another: lepton up --port 9443")
    return well("Port", f"{address} port {port} is free")


def check_private_files(home: Path) -> Iterator[Check]:
    """Yield a finding for each file with a token that others may read, or one that says that all is well."""
    files = [path for path in (home / "admin.token", *sorted((home / "profiles").glob("*.toml"))) if path.exists()]
    opened = [path for path in files if path.stat().st_mode & OTHERS]
    for path in opened:
        yield broken("Token file", f"others may read {path}", f"chmod 600 {path}")
    if files and not opened:
        yield well("Token files", f"{len(files)} of mode 0600")


def check_certificates(home: Path, now: datetime) -> Iterator[Check]:
    from cryptography import x509

    for name in CERTIFICATES:
        path = home / name
        if not path.exists():
            continue
        try:
            ends_at = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        except (OSError, ValueError) as error:
            yield broken("Certificate", f"{path} cannot be read: {error}", f"rm {path}; lepton down; lepton up")
            continue
        days = (ends_at - now).days
        if ends_at - now < RENEW_SOON:
            yield broken("Certificate", f"{name} ends in {days} days", "lepton down --keep-running; lepton up")
        else:
            yield well("Certificate", f"{name} is valid for {days} more days")
