"""Every error that a caller of Lepton AI can meet.

LeptonError
├── InvalidInput          the request itself is wrong            422
│   └── TooLarge          more bytes than the named limit        413
├── Unauthenticated       no token, or one that is not valid     401
├── Forbidden             a valid token that may not do this     403
├── NotFound              no such object                         404
├── Conflict              somebody changed it, or the name is taken  409
├── QuotaExceeded         the project's ceiling is reached       429
├── Unavailable           the core or a part of it cannot answer now  503
│   ├── NotLeading        another core leads; this one does nothing  503
│   └── StorageFailed     the state folder or database refuses   503
├── IntegrityFailed       what is stored is not what was stored there  500
├── JobFailed             `job.wait()` and `job.result()`: the job did not succeed
└── TimedOut              a wait that the caller bounded ran out

A message states the fact, the numbers and the next step: the first two in `args[0]`, the last in `hint`.
"""

from __future__ import annotations


class LeptonError(Exception):
    """The base of every error here. `code` is stable for scripts, `http_status` is what the API answers with."""

    code = "internal"
    http_status = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InvalidInput(LeptonError):
    """The request is wrong in itself; sending it again will not help."""

    code = "invalid_input"
    http_status = 422


class TooLarge(InvalidInput):
    """The request holds more than the named limit."""

    code = "too_large"
    http_status = 413


class Unauthenticated(LeptonError):
    """There is no token, or it is unknown, expired or withdrawn."""

    code = "unauthenticated"
    http_status = 401


class Forbidden(LeptonError):
    """The token is good, but its role does not allow this."""

    code = "forbidden"
    http_status = 403


class NotFound(LeptonError):
    """No object of that name exists where the caller may look."""

    code = "not_found"
    http_status = 404


class Conflict(LeptonError):
    """The object changed meanwhile, or its name is taken."""

    code = "conflict"
    http_status = 409


class QuotaExceeded(LeptonError):
    """The project's ceiling is reached."""

    code = "quota_exceeded"
    http_status = 429


class Unavailable(LeptonError):
    """The core, or a part that it needs, cannot answer now."""

    code = "unavailable"
    http_status = 503


class NotLeading(Unavailable):
    """Another core leads the platform: nothing was done here, and asking that one is safe."""

    code = "not_leading"


class StorageFailed(Unavailable):
    """The state folder or the database refuses to read or write."""

    code = "storage_failed"


class IntegrityFailed(LeptonError):
    """What lies in the store was changed, cut, moved or replaced since it was sealed; nothing of it is returned."""

    code = "integrity_failed"


class JobFailed(LeptonError):
    """The job that was waited for did not succeed."""

    code = "job_failed"


class TimedOut(LeptonError):
    """A wait that the caller bounded ran out; what was waited for goes on."""

    code = "timed_out"
    http_status = 504


def by_code(code: str) -> type[LeptonError]:
    """Return the class for `code`, so that the SDK raises what the API meant; unknown codes give the base."""
    pending = [LeptonError]
    while pending:
        kind = pending.pop()
        if kind.code == code:
            return kind
        pending.extend(kind.__subclasses__())
    return LeptonError
