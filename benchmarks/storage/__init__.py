"""Benchmarks of storage: what encryption costs, and how near the store's own speed objects are put and got."""
