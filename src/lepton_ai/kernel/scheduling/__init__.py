"""Pure scheduling: `schedule(snapshot) -> Plan`, with a reason for every refusal. No clock, no store, no I/O."""
