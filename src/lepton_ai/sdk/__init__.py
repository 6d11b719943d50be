"""The Python SDK: what `LeptonAI` and its handles are made of. It needs only types and errors."""
