"""Ray as processes: starts it secured on each machine, keeps it, closes its doors. Nothing here imports Ray."""
