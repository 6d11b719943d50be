"""The sealed object: how the content of a bucket is encrypted. Pure; the format to the byte is in ADR 0020."""
