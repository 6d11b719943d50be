"""Wire protocols that a replica speaks."""
