"""The command line: it parses, calls the SDK and prints. `commands.py` is its table of contents."""
