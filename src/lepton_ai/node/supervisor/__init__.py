"""The small process that owns one replica: it outlives the core, writes the log, and records how the replica ended.

It runs as `python -I -S .../supervisor/__main__.py FOLDER` and imports nothing but itself and a handful of modules that
are built into the interpreter: each replica has one, and `import json` or `import signal` alone would double its start.
"""
