"""What SeaweedFS is told: arguments, environment and identities. Pure, but for the secrets that are made once."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from lepton_ai.errors import StorageFailed

# Go's runtime collects garbage harder above this: 110 MiB at rest, and a put holds its parts of 8 MiB.
MEMORY_SOFT_LIMIT = "250MiB"
UPLOADS_AT_ONCE_MIB = 64  # of all clients together; more wait at the gateway
VOLUME_MIB = 1024
GRPC_OFFSET = 10_000  # SeaweedFS adds it to the port of each part
PARTS = ("MASTER", "VOLUME", "FILER", "S3", "CLIENT")


@dataclass(frozen=True, slots=True)
class State:
    """What stays the same over restarts, in a file of 0600: ports, since clients know them, and secrets."""

    master_port: int
    volume_port: int
    filer_port: int
    s3_port: int
    root_secret: str = field(repr=False)
    projects: tuple[str, ...] = ()  # ids of those that have identities

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.s3_port}"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An access key of S3."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


def new_state(ports: Sequence[int]) -> State:
    """Return the state of a new store on four ports, each of which is free together with the one GRPC_OFFSET above."""
    master, volume, filer, s3 = ports
    return State(master, volume, filer, s3, secrets.token_hex(32))


def write_state(state: State) -> str:
    """Return the state as its file holds it."""
    return json.dumps(asdict(state))


def read_state(text: str, path: Path) -> State:
    """Return the state that a file holds; raises StorageFailed if it is damaged."""
    try:
        values = json.loads(text)
        known = {one.name: values[one.name] for one in fields(State)}
        return State(**{**known, "projects": tuple(known["projects"])})
    except (ValueError, KeyError, TypeError) as error:
        raise StorageFailed(f"{path} is damaged.", hint="Restore it from a backup.") from error


def s3_bucket(project_id: str) -> str:
    """Return the bucket of S3 that holds all buckets of a project."""
    return f"lepton-{project_id}"


def admin_key(state: State) -> KeyPair:
    """Return the platform's own key, which makes buckets."""
    return _key(state, "admin", "")


def project_key(state: State, project_id: str, *, may_write: bool) -> KeyPair:
    """Return the key of a project's readers or writers, made from the root secret, so that nothing else is kept."""
    return _key(state, "writer" if may_write else "reader", project_id)


def identities(state: State) -> str:
    """Return who may do what at the S3 port, in the form of SeaweedFS' `s3.json`."""
    found = [_identity(admin_key(state), ["Admin", "Read", "List", "Write"])]
    for project_id in state.projects:
        bucket = s3_bucket(project_id)
        found.append(_identity(project_key(state, project_id, may_write=False), [f"Read:{bucket}", f"List:{bucket}"]))
        writer = project_key(state, project_id, may_write=True)
        found.append(_identity(writer, [f"Read:{bucket}", f"List:{bucket}", f"Write:{bucket}"]))
    return json.dumps({"identities": found})


def arguments(state: State, folder: Path, sockets: Path) -> Sequence[str]:
    """Return the arguments of `weed`. None of them is secret."""
    return (
        "server",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-disableHttp",  # of master and filer: who reaches the master's could delete everything
        f"-master.port={state.master_port}",
        f"-master.volumeSizeLimitMB={VOLUME_MIB}",
        "-master.electionTimeout=1s",
        "-master.telemetry=false",
        f"-volume.port={state.volume_port}",
        "-volume.max=0",  # as many volumes as fit on the disk
        "-volume.preStopSeconds=1",
        "-filer",
        f"-filer.port={state.filer_port}",
        f"-filer.localSocket={sockets / 'filer.sock'}",
        "-s3",
        f"-s3.port={state.s3_port}",
        f"-s3.config={folder / 's3.json'}",
        f"-s3.localSocket={sockets / 's3.sock'}",
        f"-s3.concurrentUploadLimitMB={UPLOADS_AT_ONCE_MIB}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    )


def environment(state: State, folder: Path) -> Mapping[str, str]:
    """Return the environment of `weed`: the secrets of its parts, and the certificate that each shows the others."""
    certificate, key = str(folder / "certificate.pem"), str(folder / "certificate.key")
    grpc = {f"WEED_GRPC_{part}_{name}": path for part in PARTS for name, path in (("CERT", certificate), ("KEY", key))}
    return {
        "GOMEMLIMIT": MEMORY_SOFT_LIMIT,
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",
        "WEED_JWT_SIGNING_KEY": _derive(state, "volume"),
        "WEED_JWT_FILER_SIGNING_KEY": _derive(state, "filer"),
        "WEED_JWT_FILER_SIGNING_READ_KEY": _derive(state, "filer-read"),
        "WEED_GRPC_CA": certificate,
        **grpc,
    }


def _identity(key: KeyPair, actions: Sequence[str]) -> Mapping[str, object]:
    credentials = [{"accessKey": key.access_key_id, "secretKey": key.secret_access_key}]
    return {"name": key.access_key_id, "credentials": credentials, "actions": list(actions)}


def _key(state: State, role: str, project_id: str) -> KeyPair:
    name = f"{role}-{project_id}" if project_id else role
    return KeyPair(name, _derive(state, f"s3/{name}"))


def _derive(state: State, purpose: str) -> str:
    made = hmac.new(bytes.fromhex(state.root_secret), purpose.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")
