"""The tables: what was shown, and what became of it; nothing names a patient. Times are UTC."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, Index, MetaData, String, Table, Text

metadata = MetaData()

shown = Table(
    "shown",
    metadata,
    Column("card", String(36), primary_key=True),  # uuid of the card
    Column("recommendation", String(100), nullable=False),
    Column("indicator", String(10), nullable=False),
    Column("content_version", String(16), nullable=False),
    Column("service", String(100), nullable=False),
    Column("issuer", String(40), nullable=False),
    Column("shown_at", DateTime, nullable=False),
    Index("ix_shown_shown_at", "shown_at"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("digest", String(64), primary_key=True),  # of what makes it one and the same fact
    Column("card", String(255), nullable=False),
    Column("service", String(100), nullable=False),
    Column("issuer", String(40), nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("suggestions", Text, nullable=False),  # uuids, separated by spaces
    Column("reason_system", String(255)),
    Column("reason_code", String(255)),
    Column("comment", Text),
    Column("comment_encrypted", Boolean, nullable=False),
    Column("happened_at", DateTime, nullable=False),
    Column("received_at", DateTime, nullable=False),
    Index("ix_feedback_card", "card"),
    Index("ix_feedback_received_at", "received_at"),
)
