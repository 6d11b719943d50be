"""Endpoints: served apps and models. The manifest of the service."""

from lepton_ai.kernel.registry import Service
from lepton_ai.services.endpoints.admit import admit
from lepton_ai.services.endpoints.service import open_endpoints
from lepton_ai.types.endpoint import Endpoint

SERVICE = Service(name="endpoints", kinds=(Endpoint,), open=open_endpoints, admit=admit)
