"""Pure: the task that one replica of an endpoint amounts to."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

from lepton_ai.types.base import Metadata
from lepton_ai.types.endpoint import Endpoint, EndpointSpec
from lepton_ai.types.task import Program, Task, TaskSpec, TaskStatus

# Fields that say how many and how long, not what: changing them replaces no replica.
_OUTSIDE_TEMPLATE = {"replicas", "idle_timeout", "start_timeout", "priority", "max_concurrency"}
READY_PATH = "/health/ready"


def template_of(spec: EndpointSpec) -> str:
    """Return a digest of all that makes a replica what it is; replicas of another digest are out of date."""
    wanted = spec.model_dump(mode="json", exclude=_OUTSIDE_TEMPLATE)
    wanted["resources"].pop("memory_is_stated", None)  # how much it is counts, not who said so
    if not spec.resources.where:
        del wanted["resources"]["where"]  # a release before knew none, and its replicas are not out of date
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:16]


def health_path(spec: EndpointSpec) -> str:
    """Return where readiness is asked; empty means that accepting a connection is enough."""
    return spec.health_path or ("" if spec.command else READY_PATH)


def task_for(endpoint: Endpoint, number: int, now: datetime, *, is_first: bool = False) -> Task:
    """Return the task of the endpoint's replica `number`, counted from 1 over the endpoint's whole life."""
    spec = endpoint.spec
    task_id = f"task-{endpoint.id.removeprefix('endpoint-')}-0-{number}"
    env = {**spec.env, "LEPTON_ENDPOINT_ID": endpoint.id, "LEPTON_ENDPOINT_NAME": endpoint.name}
    if spec.port:
        env["PORT"] = str(spec.port)
    return Task(
        metadata=Metadata(id=task_id, name=task_id, project=endpoint.project, owner_id=endpoint.id),
        spec=TaskSpec(
            owner_kind=endpoint.KIND,
            owner_name=endpoint.name,
            attempt=number,
            template=template_of(spec),
            task_kind=f"endpoint:{endpoint.name}",
            program=Program(
                command=_command(endpoint),
                env=env,
                secrets=spec.secrets,
                bundle=spec.bundle,
                requirements=spec.requirements,
                grace=spec.grace,
                needs_port=not spec.port,
            ),
            resources=spec.resources,
            priority=spec.priority,
            is_service=True,
            is_first=is_first,
        ),
        status=TaskStatus(submitted_at=now),
    )


def _command(endpoint: Endpoint) -> tuple[str, ...]:
    spec = endpoint.spec
    if spec.app:
        return ("python", "-m", "lepton_ai.serving", "--app", spec.app)
    if spec.model:
        return ("python", "-m", "lepton_ai.serving", "--model", spec.model, "--name", endpoint.name)
    return spec.command
