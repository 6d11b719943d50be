"""Node groups: machines that come and go with the work. The manifest of the service."""

from lepton_ai.kernel.registry import Service
from lepton_ai.services.nodegroups.admit import admit
from lepton_ai.services.nodegroups.service import open_nodegroups
from lepton_ai.types.node_group import NodeGroup

SERVICE = Service(
    name="nodegroups", kinds=(NodeGroup,), open=open_nodegroups, admit=admit, has_tasks=False, in_project=False
)
