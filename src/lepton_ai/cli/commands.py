"""The table of every command: where its code is, its one line of help, and the API operations that it needs.

`lepton --help` reads this table alone, so that it answers before anything heavy is imported. A test holds each row to
the command's own docstring, and each operation to `types/operation.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Command(NamedTuple):
    """`target` is `module:function` in this package; `operations` is empty for what needs no core."""

    target: str
    help: str
    operations: tuple[str, ...] = ()
    is_here: bool = False  # speaks of the platform on this machine, so it takes no `--instance`

    @property
    def is_in_project(self) -> bool:
        """Tell whether any of its operations is done in a project, so that it takes `--project`."""
        return any(operation.partition(".")[0] in PROJECT_NOUNS for operation in self.operations)


# The nouns whose operations are scoped to a project; a test holds this against `types/operation.py`.
PROJECT_NOUNS = frozenset(
    {"job", "endpoint", "secret", "task", "blob", "event", "queue", "scheduling", "bucket", "key"}
)

_UPLOAD = ("blob.has", "blob.put")
_READ = ("bucket.read", "bucket.unwrap")
_SEE_JOB = ("job.get", "job.list")

GROUPS: Mapping[str, str] = {
    "job": "Work that ends: list it, read its log, stop it.",
    "endpoint": "Served apps and models: create, scale, update, delete.",
    "bucket": "Where objects are kept, encrypted.",
    "storage": "Copy, list and remove objects of buckets.",
    "node": "The machines that work runs on.",
    "core": "The cores of one platform: give a further one its keys.",
    "nodegroup": "Machines that come and go with the work.",
    "event": "What happened, to which object, and why.",
    "secret": "Values that jobs and endpoints get by name and nobody can read back.",
    "user": "People and programs, and their roles in projects.",
    "project": "Teams: nothing of one project is visible in another.",
    "token": "The keys that speak for users.",
    "audit": "Who changed what, and what was refused.",
}

COMMANDS: Mapping[str, Command] = {
    "up": Command("up:up", "Start the platform on this machine, in the background.", ("status.get",), is_here=True),
    "down": Command("down:down", "Stop the platform on this machine.", ("platform.shutdown",), is_here=True),
    "join": Command("join:join", "Make this machine a node of a cluster, or start it again.", is_here=True),
    "leave": Command("leave:leave", "Take this machine out of its cluster.", is_here=True),
    "status": Command("status:status", "Show whether the platform runs, and where.", ("status.get",)),
    "doctor": Command(
        "doctor:doctor", "Check what this machine lacks, and say how to mend it.", ("status.get",), is_here=True
    ),
    "run": Command(
        "run:run",
        "Run a command as a job, follow its log, exit with its code.",
        ("job.create", "job.get", "job.watch", "job.logs", "job.stop", *_UPLOAD),
    ),
    "apply": Command(
        "apply:apply",
        "Create or update what a YAML file describes.",
        ("job.create", "job.update", "job.get", "endpoint.create", "endpoint.update", "endpoint.get", *_UPLOAD),
    ),
    "logs": Command("logs:logs", "Print the log of a job: the newest, if none is named.", (*_SEE_JOB, "job.logs")),
    "explain": Command(
        "explain:explain",
        "Say why a job or endpoint waits, or runs where it runs.",
        ("job.explain", "endpoint.explain"),
    ),
    "queue": Command("queue:queue", "Show what waits, in the order in which it will start.", ("queue.list",)),
    "simulate": Command(
        "simulate:simulate",
        "Replay recorded work with the live scheduler: as it was, and what if.",
        ("task.list", "project.list", "node.list"),
    ),
    "profile": Command(
        "profile:profile",
        "Measure how fast a command is on each class of resource.",
        (
            "scheduling.resource",
            "scheduling.profile",
            "job.create",
            "job.get",
            "job.watch",
            "job.logs",
            "job.explain",
            *_UPLOAD,
        ),
    ),
    "resources": Command("resources:resources", "Show each resource, its use and what holds it.", ("resource.list",)),
    "job list": Command("job:list_jobs", "List jobs, newest first.", ("job.list",)),
    "job get": Command("job:get_job", "Show one job.", ("job.get",)),
    "job logs": Command("logs:job_logs", "Print the log of a job.", ("job.get", "job.logs")),
    "job stop": Command(
        "job:stop_job",
        "Stop a job: it gets SIGTERM, a grace period, then SIGKILL.",
        ("job.get", "job.stop", "job.watch"),
    ),
    "job delete": Command("job:delete_job", "Delete a job; one that still runs is stopped first.", ("job.delete",)),
    "job events": Command("job:job_events", "Show what happened to a job.", ("job.get", "job.events")),
    "endpoint create": Command(
        "endpoint_create:create_endpoint",
        "Serve a command, an app or a model.",
        ("endpoint.create", "endpoint.get", "endpoint.watch", *_UPLOAD),
    ),
    "endpoint list": Command("endpoint:list_endpoints", "List endpoints, newest first.", ("endpoint.list",)),
    "endpoint get": Command("endpoint:get_endpoint", "Show one endpoint.", ("endpoint.get",)),
    "endpoint scale": Command(
        "endpoint:scale_endpoint", "Set how many replicas an endpoint has.", ("endpoint.get", "endpoint.update")
    ),
    "endpoint update": Command(
        "endpoint_create:update_endpoint",
        "Change what an endpoint runs, one replica after another.",
        ("endpoint.get", "endpoint.update", *_UPLOAD),
    ),
    "endpoint delete": Command(
        "endpoint:delete_endpoint", "Delete an endpoint and stop its replicas.", ("endpoint.delete",)
    ),
    "endpoint logs": Command("logs:endpoint_logs", "Print the log of an endpoint.", ("endpoint.get", "endpoint.logs")),
    "bucket create": Command("bucket:create_bucket", "Create a bucket.", ("bucket.create",)),
    "bucket list": Command("bucket:list_buckets", "List buckets, newest first.", ("bucket.list",)),
    "bucket delete": Command(
        "bucket:delete_bucket",
        "Delete a bucket; one that holds objects only with --recursive, and then for good.",
        ("bucket.delete", "bucket.read"),
    ),
    "bucket rotate-key": Command(
        "bucket:rotate_key",
        "Give the project a new version of its key for all that is written from now on.",
        ("key.rotate",),
    ),
    "storage ls": Command(
        "storage:list_objects", "List the objects of a bucket, one folder at a time.", ("bucket.read",)
    ),
    "storage cp": Command(
        "storage:copy", "Copy files into a bucket, out of it, or between buckets.", (*_READ, "bucket.write")
    ),
    "storage mv": Command(
        "storage:move",
        "Move objects: copy them, and delete the sources once everything is there.",
        (*_READ, "bucket.write"),
    ),
    "storage rm": Command(
        "storage:remove", "Delete an object, or everything below a folder.", (*_READ, "bucket.write")
    ),
    "storage du": Command("storage:disk_usage", "Add up what lies below an address.", ("bucket.read",)),
    "storage cat": Command("storage:print_object", "Print an object's content.", _READ),
    "node list": Command("node:list_nodes", "List the machines.", ("node.list",)),
    "node show": Command("node:show_node", "Show one machine and its hardware.", ("node.get",)),
    "node cordon": Command(
        "node:cordon_node", "Give a machine no new work; what runs there goes on.", ("node.update",)
    ),
    "node uncordon": Command("node:uncordon_node", "Give a machine new work again.", ("node.update",)),
    "node drain": Command(
        "node_drain:drain_node",
        "Have what runs on a machine leave it, and give it nothing new.",
        ("node.drain", "node.get", "node.watch"),
    ),
    "node label": Command("node:label_node", "Say where a machine is, so that work can ask for it.", ("node.update",)),
    "node price": Command("node:set_price", "Say what an hour of a machine costs.", ("node.update",)),
    "node token": Command("node_membership:node_token", "Make a token for one machine to join.", ("node.invite",)),
    "node remove": Command(
        "node_membership:remove_node", "Remove a machine that has joined, and withdraw its identity.", ("node.remove",)
    ),
    "core export": Command(
        "core:export_keys",
        "Write the keys of this machine's core to a sealed file, and print the key that opens it, once.",
        is_here=True,
    ),
    "core import": Command(
        "core:import_keys",
        "Put the keys of a platform into this machine's state folder, so that its core can stand by.",
        is_here=True,
    ),
    "nodegroup create": Command("nodegroup_create:create_group", "Create a node group.", ("nodegroup.create",)),
    "nodegroup list": Command(
        "nodegroup:list_groups", "List node groups, with how many nodes each has.", ("nodegroup.list",)
    ),
    "nodegroup show": Command(
        "nodegroup:show_group",
        "Show one node group, its nodes, and what happened to it.",
        ("nodegroup.get", "nodegroup.events"),
    ),
    "nodegroup update": Command(
        "nodegroup_create:update_group", "Change a node group; what is not named stays as it is.", ("nodegroup.update",)
    ),
    "nodegroup delete": Command(
        "nodegroup:delete_group",
        "Delete a node group; its nodes are drained and deleted first.",
        ("nodegroup.delete",),
    ),
    "nodegroup manifest": Command(
        "nodegroup:print_manifest", "Print what KubeRay needs to run a group of provider kuberay.", ("nodegroup.get",)
    ),
    "event list": Command("event:list_events", "List events, oldest first.", ("event.list",)),
    "secret set": Command(
        "secret:set_secret", "Store a value, read from standard input or a prompt.", ("secret.create",)
    ),
    "secret list": Command("secret:list_secrets", "List the names of secrets.", ("secret.list",)),
    "secret delete": Command("secret:delete_secret", "Delete a secret.", ("secret.delete",)),
    "user create": Command("user:create_user", "Create a user with roles in projects.", ("user.create",)),
    "user list": Command("user:list_users", "List users and their roles.", ("user.list",)),
    "project create": Command("project:create_project", "Create a project.", ("project.create",)),
    "project set": Command(
        "project:set_project",
        "Change what a project is promised, may hold and may use up.",
        ("project.update", "project.usage"),
    ),
    "project show": Command(
        "project:show_project",
        "Show one project: what it holds, may hold and has used up.",
        ("project.get", "project.usage"),
    ),
    "project list": Command(
        "project:list_projects", "List projects with what each holds and has used up.", ("project.usage",)
    ),
    "token create": Command("token:create_token", "Make a token for a user; it is shown once.", ("token.create",)),
    "token list": Command("token:list_tokens", "List tokens, without their values.", ("token.list",)),
    "token delete": Command("token:delete_token", "Withdraw a token at once.", ("token.delete",)),
    "audit list": Command("audit:list_audit", "List audit records, oldest first.", ("audit.list",)),
    "version": Command("version:version", "Print the version of this program."),
}
