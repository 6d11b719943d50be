from lepton_ai.errors import Conflict as Conflict
from lepton_ai.errors import Forbidden as Forbidden
from lepton_ai.errors import IntegrityFailed as IntegrityFailed
from lepton_ai.errors import InvalidInput as InvalidInput
from lepton_ai.errors import JobFailed as JobFailed
from lepton_ai.errors import LeptonError as LeptonError
from lepton_ai.errors import NotFound as NotFound
from lepton_ai.errors import QuotaExceeded as QuotaExceeded
from lepton_ai.errors import TimedOut as TimedOut
from lepton_ai.errors import TooLarge as TooLarge
from lepton_ai.errors import Unauthenticated as Unauthenticated
from lepton_ai.errors import Unavailable as Unavailable
from lepton_ai.sdk.client import LeptonAI as LeptonAI
from lepton_ai.sdk.endpoint_handle import EndpointHandle as EndpointHandle
from lepton_ai.sdk.function import RemoteFunction as RemoteFunction
from lepton_ai.sdk.job_handle import JobHandle as JobHandle
from lepton_ai.sdk.logs import LogLine as LogLine
from lepton_ai.sdk.task_request import TaskRequest as TaskRequest
from lepton_ai.serving.app import handler as handler
from lepton_ai.types.allocation_plan import AllocationPlan as AllocationPlan
from lepton_ai.types.endpoint import Endpoint as Endpoint
from lepton_ai.types.job import Job as Job
from lepton_ai.types.job import JobState as JobState
from lepton_ai.types.job import Retries as Retries
from lepton_ai.types.resource_view import ResourceChoice as ResourceChoice
from lepton_ai.types.resources import Resources as Resources
from lepton_ai.version import VERSION as __version__

__all__ = [
    "AllocationPlan",
    "Conflict",
    "Endpoint",
    "EndpointHandle",
    "Forbidden",
    "IntegrityFailed",
    "InvalidInput",
    "Job",
    "JobFailed",
    "JobHandle",
    "JobState",
    "LeptonAI",
    "LeptonError",
    "LogLine",
    "NotFound",
    "QuotaExceeded",
    "RemoteFunction",
    "ResourceChoice",
    "Resources",
    "Retries",
    "TaskRequest",
    "TimedOut",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "__version__",
    "handler",
]
