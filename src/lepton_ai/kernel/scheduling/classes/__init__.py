"""Tasks that may be preempted, on classes of unlike speed: who runs where, by prices that a device-second has today."""
