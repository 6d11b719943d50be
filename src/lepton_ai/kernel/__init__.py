"""The microkernel: clock, store, auth, nodes, scheduling and the one reconcile loop. It knows tasks, not jobs."""
