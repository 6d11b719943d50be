"""The `kuberay` provider: KubeRay makes the machines, from a manifest that is printed here."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from lepton_ai.backends.ray_runtime.amounts import NODE_LABEL
from lepton_ai.errors import InvalidInput
from lepton_ai.kernel.node_providers import Provider
from lepton_ai.types.node_group import NodeGroupSpec

FOLDER = "/lepton"
LABELS_FILE = f"{FOLDER}/labels.yaml"
Json = Any  # what JSON knows
_START = {"labels-file": LABELS_FILE}


def check(settings: Mapping[str, str]) -> None:
    """Raise InvalidInput unless the image is named that the pods run."""
    unknown = sorted(settings.keys() - {"image", "service_account", "device_resource"})
    if unknown:
        raise InvalidInput(
            f"The kuberay provider has no setting {unknown[0]!r}.",
            hint="Known: image, service_account, device_resource.",
        )
    if not settings.get("image"):
        raise InvalidInput(
            "The kuberay provider needs the setting image.", hint="One with Ray and lepton-ai[cluster] in it."
        )


def manifest(name: str, spec: NodeGroupSpec, ray: str, replicas: int) -> Mapping[str, Json]:
    """Return a RayCluster (https://ray-project.github.io/kuberay/reference/api/) whose workers are the group's nodes.

    KubeRay takes no `labels` among `rayStartParams`, and its own are the same for all pods of a group. But each node
    must be called by its own name, so that an init container writes that into a file that Ray reads.
    """
    head = NodeGroupSpec(provider=spec.provider, settings=spec.settings)
    worker = {
        "groupName": name,
        "replicas": replicas,
        "minReplicas": spec.min,
        "maxReplicas": spec.max,
        "rayStartParams": {**_START, **_resources(spec)},
        "template": _pod("ray-worker", spec, spec.labels),
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "lepton-ai"}},
        "spec": {
            "rayVersion": ray,
            "enableInTreeAutoscaling": False,  # Ray's autoscaler does not see our queue, and would only shrink
            "authOptions": {"mode": "token"},
            "headGroupSpec": {
                "rayStartParams": {**_START, "num-cpus": "0", "include-dashboard": "false"},
                "template": _pod("ray-head", head, {}),
            },
            "workerGroupSpecs": [worker],
        },
    }


def _resources(spec: NodeGroupSpec) -> Mapping[str, str]:
    """Return the devices as the platform has Ray count them; CPUs and memory KubeRay takes from the limits."""
    if not spec.node.devices:
        return {}
    return {"resources": shlex.quote(json.dumps({spec.node.device: spec.node.devices}))}


def _pod(container: str, spec: NodeGroupSpec, labels: Mapping[str, str]) -> Mapping[str, Json]:
    shape, settings = spec.node, spec.settings
    amounts: dict[str, Json] = {"cpu": f"{shape.cpu:g}", "memory": str(shape.memory)}
    if shape.devices and settings.get("device_resource"):
        amounts[settings["device_resource"]] = str(shape.devices)
    volume = {"name": "lepton", "mountPath": FOLDER}
    own_name = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    pod: dict[str, Json] = {
        "initContainers": [
            {
                "name": "lepton-name",
                "image": settings["image"],
                "command": ["/bin/sh", "-c", f'echo "{NODE_LABEL}: $POD_NAME" > {LABELS_FILE}'],
                "env": [own_name],
                "volumeMounts": [volume],
            }
        ],
        "containers": [
            {
                "name": container,
                "image": settings["image"],
                "resources": {"limits": amounts, "requests": amounts},
                "volumeMounts": [volume],
            }
        ],
        "volumes": [{"name": "lepton", "emptyDir": {}}],
    }
    if settings.get("service_account"):
        pod["serviceAccountName"] = settings["service_account"]
    return {"metadata": {"labels": dict(labels)}, "spec": pod}


PROVIDER = Provider(check, None)
