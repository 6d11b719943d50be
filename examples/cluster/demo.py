"""Three machines become one cloud, one of them dies, and everything goes on. `make demo-cluster`.

The machines are network namespaces of this one; each has an address, a state folder and processes of its own. One of
them declares accelerators that do not exist, and they are called simulated wherever they are shown.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from machine import Machine

from lepton_ai.testing.namespaces import machines, why_not

HERE = Path(__file__).parent
RECOVERY_SECONDS_MAX = 90.0
ASKER_SECONDS_MAX = 40.0
TRAINING_SECONDS = 8  # of the gang that loses a machine; it is noticed after 12 s at most, and the gang starts anew
SIMULATED = 'simulated_devices = "2x80GB"  # no such device is there\n'


def main() -> None:
    """Run the demo; a step that does not hold ends it with an exit code of 1."""
    reason = why_not()
    if reason:
        sys.exit(f"Error: {reason}.\nHint: run it as root: sudo make demo-cluster")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where this was started
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit("Error: the demo was told to end."))
    began = time.monotonic()
    with cluster() as (alpha, others):
        set_up(alpha, others)
        train(alpha)
        use_simulated_devices(alpha)
        serve(alpha)
        with asking(alpha):
            lose_a_machine(alpha, others)
        say("The events that tell the story:")
        tell(alpha)
    say(f"Done after {time.monotonic() - began:.0f} s: everything that was started has been stopped.")


@contextlib.contextmanager
def cluster() -> Iterator[tuple[Machine, list[Machine]]]:
    """Give the first machine and the others; at the end whatever runs on them is killed, and they are gone."""
    with contextlib.ExitStack() as stack:
        # Short paths, so that Ray's sockets lie in them.
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lep", dir="/tmp"))) for _ in range(3)]
        say("Three machines: network namespaces of this one, joined by a switch (root is needed for that alone)")
        spaces = stack.enter_context(machines(len(folders)))
        names = ("alpha", "beta", "gamma")
        first, *others = (Machine(*each) for each in zip(names, spaces, folders, strict=True))
        yield first, others


def set_up(alpha: Machine, others: list[Machine]) -> None:
    """Set the cluster up with the product's own commands, as a user would."""
    (alpha.home / "node").write_text(alpha.name)
    alpha.show("up", "--cluster", "--address", alpha.space.address)
    for machine, site in zip(others, ("berlin", "paris"), strict=True):
        if machine is others[-1]:
            (machine.home / "config.toml").write_text(SIMULATED)
        token = alpha.told("node", "token")["token"]
        machine.show("join", alpha.url, "--name", machine.name, "--label", f"site={site}", LEPTON_JOIN_TOKEN=token)
    wait_for("all three to be ready", lambda: set(alpha.states().values()) == {"ready"} and len(alpha.states()) == 3)
    alpha.show("node", "list")
    alpha.show("node", "show", others[-1].name)


def train(alpha: Machine) -> None:
    """Run a gang on two machines."""
    say("A gang of two, on two machines, that trains on real digits")
    alpha.show(*gang("train", 1))


def use_simulated_devices(alpha: Machine) -> None:
    """Place work on accelerators that are only declared."""
    say("Work for an accelerator goes to the machine that declares one; it is simulated, so nothing is there to use")
    program = ("sh", "-c", "echo I am on $LEPTON_NODE")
    alpha.show("run", "--name", "simulated", "--workdir", "none", "--gpu", "simulated:1", "--", *program)


def serve(alpha: Machine) -> None:
    """Serve an endpoint from all machines: each replica needs more than half of one."""
    say("An endpoint with a replica on each machine, behind the one HTTPS port of alpha")
    each = ("--replicas", "3", "--cpu", "1.1", "--memory", "200MB", "--workdir", str(HERE))
    alpha.show("endpoint", "create", "here", *each, "--", sys.executable, "server.py")
    wait_for("three replicas", lambda: alpha.replicas_of("here") == ["alpha", "beta", "gamma"])


@contextlib.contextmanager
def asking(alpha: Machine) -> Iterator[None]:
    """Ask the endpoint all the while, and tell what it answered; one answer that is none ends the demo."""
    url = f"{alpha.url}/endpoints/default/here/"
    token = {"LEPTON_TOKEN": (alpha.home / "admin.token").read_text().strip()}
    with alpha.beside("asking.py", url, str(alpha.home / "tls" / "ca.pem"), **token) as asker:
        yield
        told, _ = asker.communicate(timeout=ASKER_SECONDS_MAX)
    found = json.loads(told)
    shares = ", ".join(f"{count} from {name}" for name, count in sorted(found["answers"].items()))
    say(f"Meanwhile the endpoint was asked without a pause: {shares}; the slowest took {found['slowest_seconds']} s")
    if not found["answers"].keys() <= {"alpha", "beta", "gamma"}:
        sys.exit("Error: not each request was answered.")


def lose_a_machine(alpha: Machine, others: list[Machine]) -> None:
    """Kill a machine on which a gang is at work, and see that everything recovers."""
    alpha.show(*gang("survivor", TRAINING_SECONDS, "--detach"))
    wait_for("the gang to run", lambda: alpha.state_of("survivor") == "running")
    lost = next(machine for machine in others if machine.name in alpha.nodes_of("survivor"))
    say(f"Machine {lost.name} loses its network, and everything on it is killed: no process there says goodbye")
    at = time.monotonic()
    lost.kill()
    wait_for(f"{lost.name} to count as lost", lambda: alpha.states().get(lost.name) == "lost")
    say(f"Noticed after {time.monotonic() - at:.1f} s")
    wait_for("the gang to run again", lambda: alpha.runs_without("survivor", lost.name))
    on = " and ".join(alpha.nodes_of("survivor"))
    say(f"The gang runs again, on {on}, {time.monotonic() - at:.1f} s after the loss")
    alpha.show("job", "logs", "survivor", "--follow")
    wait_for("the gang to succeed", lambda: alpha.state_of("survivor") == "succeeded")
    say(f"Machine {lost.name} is switched on again")
    lost.switch_on()
    lost.show("join")
    wait_for(f"{lost.name} to be back", lambda: alpha.states().get(lost.name) == "ready")
    alpha.show("node", "list")
    alpha.show("job", "list")


def tell(alpha: Machine) -> None:
    """Print what happened to nodes, jobs and endpoints, oldest first, in seconds since the first of it."""
    told = [*alpha.told("event", "list", "--limit", "200"), *alpha.told("event", "list", "--project", "platform")]
    story = sorted((one for one in told if one["kind"] in {"node", "job", "endpoint"}), key=lambda one: one["seq"])
    first = datetime.fromisoformat(story[0]["at"])
    print(f"{'AFTER':>7}  {'OBJECT':<14} {'EVENT':<10} WHAT HAPPENED")
    for one in story:
        after, about = datetime.fromisoformat(one["at"]) - first, f"{one['kind']}/{one['object_name']}"
        print(f"{after.total_seconds():>5.1f} s  {about:<14} {one['code']:<10} {one['sentence']}")


def gang(name: str, seconds: int, *more: str) -> list[str]:
    """Return the words that run a gang on two machines, one replica on each."""
    quiet = ("--env", "TORCH_CPP_LOG_LEVEL=ERROR")  # the machines have no names, which it would remark upon
    each = ("--nodes", "2", "--cpu", "0.8", "--memory", "1GB", "--workdir", str(HERE))
    return ["run", "--name", name, *each, *quiet, *more, "--", sys.executable, "gang.py", str(seconds)]


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    """Wait until it holds; a demo in which it never does has failed."""
    deadline = time.monotonic() + RECOVERY_SECONDS_MAX
    while not holds():
        if time.monotonic() > deadline:
            sys.exit(f"Error: waited {RECOVERY_SECONDS_MAX:.0f} s for {what}, in vain.")
        time.sleep(0.2)


def say(sentence: str) -> None:
    """Print one step."""
    print(f"\n==> {sentence}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Error: interrupted. Everything that was started has been stopped.")
