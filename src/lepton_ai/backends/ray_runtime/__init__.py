"""The runtime of many machines: our own supervisors on every node, reached and accounted for through Ray."""
