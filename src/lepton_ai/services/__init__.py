"""Services around the kernel: each a manifest, a pure decision and effects. They never import one another."""
