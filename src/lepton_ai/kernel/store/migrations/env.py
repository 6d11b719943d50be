"""Run migrations on the connection that `engine.py` hands over."""

from alembic import context

from lepton_ai.kernel.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
