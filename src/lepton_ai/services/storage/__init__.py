"""Storage: buckets of sealed objects. The manifest of the service."""

from lepton_ai.kernel.registry import Service
from lepton_ai.services.storage.service import open_storage
from lepton_ai.types.bucket import Bucket

SERVICE = Service(name="storage", kinds=(Bucket,), open=open_storage, has_tasks=False)
