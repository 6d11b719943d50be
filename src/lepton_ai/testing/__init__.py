"""Shipped fakes and the seeded simulation: the real control plane over machines and a clock that are only imagined."""
