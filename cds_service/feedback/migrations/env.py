"""How Alembic reaches the database: on the connection that the store hands over."""

from __future__ import annotations

from alembic import context

from cds_service.feedback.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
