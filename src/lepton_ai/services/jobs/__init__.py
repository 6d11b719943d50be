"""Jobs: work that ends. The manifest of the service."""

from lepton_ai.kernel.registry import Service
from lepton_ai.services.jobs.admit import admit, name_stem
from lepton_ai.services.jobs.service import leaves_outside, open_jobs
from lepton_ai.types.job import Job

SERVICE = Service(
    name="jobs", kinds=(Job,), open=open_jobs, admit=admit, leaves_outside=leaves_outside, name_stem=name_stem
)
