"""What runs on every machine: hardware detection, the supervisor, bundles, environments, logs and limits."""
