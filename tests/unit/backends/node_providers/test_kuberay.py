"""The manifest for KubeRay: only fields that the RayCluster resource documents, and a name for each node."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lepton_ai.backends.node_providers.kuberay import check, manifest
from lepton_ai.errors import InvalidInput
from lepton_ai.types.node_group import NodeGroupSpec

SPEC = NodeGroupSpec.model_validate(
    {
        "min": 1,
        "max": 5,
        "provider": "kuberay",
        "settings": {"image": "registry/ray-lepton:1", "device_resource": "nvidia.com/gpu", "service_account": "ray"},
        "node": {"cpu": 16, "memory": "64GB", "device": "nvidia-h100-80gb", "devices": 8, "device_memory": "80GB"},
        "labels": {"site": "berlin"},
    }
)
# From the API reference of KubeRay (https://ray-project.github.io/kuberay/reference/api/), v1 of ray.io.
CLUSTER = {
    "authOptions", "suspend", "managedBy", "autoscalerOptions", "headServiceAnnotations", "enableInTreeAutoscaling",
    "gcsFaultToleranceOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs", "upgradeStrategy",
}  # fmt: skip
HEAD = {"template", "headService", "enableIngress", "resources", "labels", "rayStartParams", "serviceType"}
WORKER = {
    "suspend", "groupName", "replicas", "minReplicas", "maxReplicas", "idleTimeoutSeconds", "resources", "labels",
    "rayStartParams", "template", "scaleStrategy", "numOfHosts",
}  # fmt: skip


def made() -> Mapping[str, Any]:
    return manifest("gpus", SPEC, "2.60.0", 3)


def params(found: Mapping[str, Any]) -> Iterator[Mapping[str, str]]:
    yield found["spec"]["headGroupSpec"]["rayStartParams"]
    yield from (group["rayStartParams"] for group in found["spec"]["workerGroupSpecs"])


def test_every_field_is_one_that_the_resource_documents() -> None:
    found = made()
    (worker,) = found["spec"]["workerGroupSpecs"]
    assert (found["apiVersion"], found["kind"]) == ("ray.io/v1", "RayCluster")
    assert found["spec"].keys() <= CLUSTER
    assert found["spec"]["headGroupSpec"].keys() <= HEAD
    assert worker.keys() <= WORKER
    assert (worker["groupName"], worker["minReplicas"], worker["replicas"], worker["maxReplicas"]) == ("gpus", 1, 3, 5)


def test_parameters_of_ray_are_words_and_never_labels_which_kuberay_refuses() -> None:
    for each in params(made()):
        assert all(isinstance(value, str) for value in each.values())
        assert "labels" not in each


def test_ray_counts_the_devices_by_their_kind() -> None:
    (worker,) = made()["spec"]["workerGroupSpecs"]
    (resources,) = shlex.split(worker["rayStartParams"]["resources"])
    assert json.loads(resources) == {"nvidia-h100-80gb": 8}
    (container,) = worker["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "16", "memory": "64000000000", "nvidia.com/gpu": "8"}


def test_each_pod_writes_its_own_name_into_the_file_of_labels_that_ray_reads() -> None:
    (worker,) = made()["spec"]["workerGroupSpecs"]
    (init,) = worker["template"]["spec"]["initContainers"]
    file = worker["rayStartParams"]["labels-file"]
    assert init["command"][-1] == f'echo "lepton.ai/node: $POD_NAME" > {file}'
    assert init["volumeMounts"] == worker["template"]["spec"]["containers"][0]["volumeMounts"]


def test_the_image_must_be_named() -> None:
    with pytest.raises(InvalidInput, match="needs the setting image"):
        check({})
