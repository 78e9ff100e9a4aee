"""What is in the database, row by row."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from cds_service.feedback.comments import CommentBox
from cds_service.feedback.tables import feedback, shown


def facts(url: str, *keys: str) -> list[dict[str, Any]]:
    """Every fact of feedback, its comment opened, with the recommendation of its card."""
    query = sa.select(feedback, shown.c.recommendation).join_from(
        feedback, shown, feedback.c.card == shown.c.card, isouter=True
    )
    engine, box = sa.create_engine(url), CommentBox(keys)
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    engine.dispose()
    return [row | {"comment": box.open(row["comment"], row["comment_encrypted"])} for row in rows]
