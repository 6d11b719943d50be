"""`lepton status`: whether the platform runs, and where."""

from __future__ import annotations

import typer

from lepton_ai.cli.output import print_fields, print_json, to_plain
from lepton_ai.cli.session import session_of

app = typer.Typer()


@app.command("status")
def status(context: typer.Context) -> None:
    """Show whether the platform runs, and where.

    Exits with 1 if it does not answer.

    \b
    Example:
      lepton status
      lepton status --output json
    """
    session = session_of(context)
    found = to_plain(session.connect().status())
    if session.is_json or not isinstance(found, dict):
        print_json(found)
        return
    core, plane, counts, lease = (found.get(part) or {} for part in ("core", "data_plane", "counts", "lease"))
    print_fields(
        [
            ("Platform", f"{core.get('state', 'ready')} at {found.get('url', '')}"),
            ("Version", str(found.get("version", ""))),
            ("Core", f"process {core.get('pid', '?')} since {core.get('started_at', '?')}"),
            *([("Leader", _leader(lease))] if lease else []),
            ("Data plane", " ".join(filter(None, (plane.get("state", ""), plane.get("detail", ""))))),
            ("Database", str(found.get("database", ""))),
            ("Nodes", str(counts.get("nodes", ""))),
            ("Tasks", f"{counts.get('tasks_running', 0)} running, {counts.get('tasks_waiting', 0)} waiting"),
            ("State folder", str(found.get("home", ""))),
        ]
    )


def _leader(lease: dict[str, object]) -> str:
    left = float(str(lease.get("seconds_left", 0)))
    holds = f"its lease holds for {left:.1f} s more" if left > 0 else f"its lease ended {-left:.1f} s ago"
    return f"{lease.get('leader', '')}, epoch {lease.get('epoch', '')}; {holds}"
