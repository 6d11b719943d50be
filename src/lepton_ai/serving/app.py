"""What a user writes: the `handler` mark on methods of a plain class, and how the marks are found again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar, overload

from lepton_ai.errors import InvalidInput

F = TypeVar("F", bound=Callable[..., object])
MARK = "__lepton_handler__"
BATCH_MAX = 4096  # items of one call to a handler: beyond it memory, not dispatch, is what limits
WAIT_MS_MAX = 60_000.0
MAX_WAITING = 1024  # calls in line for one handler: at 1 ms each the last one waits about a second
RESERVED_NAMES = frozenset({"health", "metrics", "v2"})


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """How calls of one handler are gathered and bounded; see `handler`."""

    max_batch_size: int = 1
    max_wait_ms: float = 5.0
    max_waiting: int = MAX_WAITING

    def __post_init__(self) -> None:
        if not 1 <= self.max_batch_size <= BATCH_MAX:
            raise InvalidInput(f"max_batch_size is {self.max_batch_size}.", hint=f"Choose 1 to {BATCH_MAX}.")
        if not 0 <= self.max_wait_ms <= WAIT_MS_MAX:
            raise InvalidInput(f"max_wait_ms is {self.max_wait_ms}.", hint=f"Choose 0 to {WAIT_MS_MAX:.0f}.")
        if self.max_waiting < 1:
            raise InvalidInput(f"max_waiting is {self.max_waiting}.", hint="Choose at least 1.")

    @property
    def is_batched(self) -> bool:
        return self.max_batch_size > 1


@overload
def handler(function: F, /) -> F: ...


@overload
def handler(
    *, max_batch_size: int = 1, max_wait_ms: float = 5.0, max_waiting: int = MAX_WAITING
) -> Callable[[F], F]: ...


def handler(
    function: F | None = None,
    /,
    *,
    max_batch_size: int = 1,
    max_wait_ms: float = 5.0,
    max_waiting: int = MAX_WAITING,
) -> F | Callable[[F], F]:
    """Serve this method as `POST /<its name>`; the JSON body's fields are its parameters.

    The signature is the contract: parameters are read and checked by their annotations (a wrong call is answered 422
    with the path of the field), the OpenAPI document is made from them, and the returned value becomes the JSON answer.
    The method itself stays as it was, so that tests can call it. A `LeptonError` that it raises is answered with that
    error's own status (raise `InvalidInput` for a bad request); anything else is answered 500.

    A plain method runs in a pool of threads, an `async` one on the event loop, where it must not block and is
    cancelled when its caller goes away. A generator, plain or `async`, streams: server-sent events to a caller who
    accepts `text/event-stream`, one JSON value per line (`application/x-ndjson`) to any other.

    Batching (`max_batch_size` above 1) changes the speed and never the contract. Every parameter is a list, all of one
    length, and the method returns one result per item, as a list or an array. A call carries one item or many
    (`{"images": [IMAGE]}`) and gets as many results. Waiting calls are joined until they hold `max_batch_size` items
    or the first has waited `max_wait_ms`; a caller who is alone (the batch before held one call, and nobody
    waits) is not kept waiting. A longer call is cut into several batches. One batch runs at a time. If it raises, its
    calls are run again one by one, so that only the culprit fails: a batched handler must be safe to repeat.

    At most `max_waiting` calls are in progress or waiting; the next is answered 429 with `Retry-After`.
    """
    options = HandlerOptions(max_batch_size, max_wait_ms, max_waiting)

    def mark(method: F) -> F:
        setattr(method, MARK, options)
        return method

    return mark if function is None else mark(function)


def find_handlers(instance: object) -> Iterator[tuple[str, Callable[..., object], HandlerOptions]]:
    """Yield name, bound method and options of each marked method, in the order that they were written."""
    seen: set[str] = set()
    for kind in reversed(type(instance).__mro__):
        for name in vars(kind):
            # Properties of the user's class are not touched: reading one may do work.
            is_marked = hasattr(getattr(type(instance), name, None), MARK)
            if name not in seen and is_marked:
                seen.add(name)
                yield name, getattr(instance, name), getattr(getattr(type(instance), name), MARK)
