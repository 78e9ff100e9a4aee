"""Keeps feedback and what was shown, in SQLite or PostgreSQL."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from cds_service.errors import Unavailable
from cds_service.feedback.comments import CommentBox
from cds_service.feedback.model import Fact, Shown
from cds_service.feedback.tables import feedback, shown

log = logging.getLogger(__name__)

_WAIT = 3  # seconds for a connection, and for a lock
_MIGRATION_LOCK = 7_361_204_411  # of PostgreSQL, any number that nobody else uses there
_MIGRATING = threading.Lock()  # Alembic keeps what it works on in its module
_INSERT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Store:
    """One database; its tables are brought up to date before they are first used."""

    def __init__(self, url: str, box: CommentBox) -> None:
        """Connect when first asked. Raises Unavailable never here."""
        self._engine = _engine(url)
        self._box = box
        self._is_current = False

    def keep(self, facts: Sequence[Fact]) -> list[Fact]:
        """
        Keep feedback, all or none; the facts that are new.

        When this returns they are on disk. Raises Unavailable when they cannot be kept.
        """
        with self._begin() as connection:
            return [fact for fact in facts if _is_new(connection, self._row(fact))]

    def note_shown(self, cards: Sequence[Shown]) -> None:
        """Note cards that were sent. Raises Unavailable."""
        with self._begin() as connection:
            insert = _INSERT[connection.dialect.name](shown).on_conflict_do_nothing()
            connection.execute(insert, [_columns(card) for card in cards])

    def forget(self, before: datetime) -> int:
        """Delete what is older; how many rows. Raises Unavailable."""
        with self._begin() as connection:
            old = connection.execute(sa.delete(feedback).where(feedback.c.received_at < before))
            gone = connection.execute(sa.delete(shown).where(shown.c.shown_at < before))
            return int(old.rowcount + gone.rowcount)

    def shown_since(self, since: datetime) -> list[Mapping[str, Any]]:
        """How often each recommendation was shown, by content version. Raises Unavailable."""
        columns = (shown.c.recommendation, shown.c.content_version)
        query = sa.select(*columns, sa.func.count().label("shown"))
        with self._begin(reads=True) as connection:
            rows = connection.execute(query.where(shown.c.shown_at >= since).group_by(*columns))
            return [dict(row) for row in rows.mappings()]

    def outcomes_since(self, since: datetime) -> list[Mapping[str, Any]]:
        """
        What became of the cards shown since then, counted by the database.

        A card counts once, by the last that was said of it. One that is not known, because it was
        shown long ago or elsewhere, has no `recommendation`. Raises Unavailable.
        """
        last = _last_words(since)
        columns = [last.c[name] for name in _COUNTED]
        query = sa.select(*columns, sa.func.count().label("count")).where(last.c.place == 1)
        with self._begin(reads=True) as connection:
            rows = connection.execute(query.group_by(*columns))
            return [dict(row) for row in rows.mappings()]

    def comments_since(self, since: datetime, most: int) -> list[Mapping[str, Any]]:
        """The newest comments on these cards, each with its recommendation. Raises Unavailable."""
        last = _last_words(since)
        query = (
            sa.select(last)
            .where(last.c.place == 1, last.c.comment.is_not(None))
            .order_by(last.c.happened_at.desc())
            .limit(most)
        )
        with self._begin(reads=True) as connection:
            return [self._opened(dict(row)) for row in connection.execute(query).mappings()]

    def check(self) -> None:
        """Raise Unavailable unless the database answers and its tables are up to date."""
        with self._begin(reads=True) as connection:
            connection.execute(sa.select(sa.literal(1)))

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _row(self, fact: Fact) -> dict[str, Any]:
        comment, encrypted = self._box.close(fact.comment)
        return {
            "digest": _digest(fact, self._box.secret),
            **_columns(fact),
            "suggestions": " ".join(fact.suggestions),
            "comment": comment,
            "comment_encrypted": encrypted,
            "happened_at": fact.happened_at or fact.received_at,
        }

    def _opened(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {**row, "comment": self._box.open(row["comment"], row["comment_encrypted"])}

    @contextmanager
    def _begin(self, *, reads: bool = False) -> Iterator[sa.Connection]:
        """A transaction on tables that are up to date; one that only reads waits for no writer."""
        try:
            self._upgrade()
            opened = self._engine.connect().execution_options(reads=reads)
            with opened as connection, connection.begin():
                yield connection
        except (SQLAlchemyError, OSError) as error:
            fields = {"error": type(error).__name__}
            log.error("database unavailable", extra={"fields": fields})
            raise Unavailable("database") from None

    def _upgrade(self) -> None:
        if self._is_current:
            return
        with _MIGRATING, self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                # Several replicas start at once: the first one migrates, the others wait.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            config = Config()
            config.set_main_option("script_location", "cds_service.feedback:migrations")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            self._is_current = True


_COUNTED = ("recommendation", "content_version", "outcome", "reason_code")


def _last_words(since: datetime) -> sa.Subquery:
    """Each fact with its card; the last that was said of a card has the `place` 1."""
    place = sa.func.row_number().over(
        partition_by=feedback.c.card,
        order_by=(feedback.c.happened_at.desc(), feedback.c.received_at.desc()),
    )
    return (
        sa.select(feedback, shown.c.recommendation, shown.c.content_version, place.label("place"))
        .join_from(feedback, shown, feedback.c.card == shown.c.card, isouter=True)
        .where(sa.func.coalesce(shown.c.shown_at, feedback.c.received_at) >= since)
        .subquery()
    )


def _engine(url: str) -> sa.Engine:
    kind = sa.make_url(url).get_backend_name()
    if kind == "sqlite":
        engine = sa.create_engine(url, connect_args={"timeout": _WAIT})
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_at_once)
        return engine
    options = f"-c lock_timeout={_WAIT * 1000} -c statement_timeout=30000"
    return sa.create_engine(
        url, pool_pre_ping=True, pool_timeout=_WAIT,
        connect_args={"connect_timeout": _WAIT, "options": options},
    )  # fmt: skip


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Write ahead, so that reports do not stop feedback, and be on disk before we say so."""
    connection.isolation_level = None  # we begin transactions ourselves
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin_at_once(connection: sa.Connection) -> None:
    """Take the write lock first: to ask for it in the middle fails at once when another has it."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _is_new(connection: sa.Connection, row: Mapping[str, Any]) -> bool:
    """Insert feedback unless it is there already."""
    statement = _INSERT[connection.dialect.name](feedback).values(**row).on_conflict_do_nothing()
    return connection.execute(statement.returning(feedback.c.digest)).first() is not None


def _columns(row: Shown | Fact) -> dict[str, Any]:
    """As a row; `dataclasses.asdict` would copy every value, at several times the cost."""
    return {column.name: getattr(row, column.name) for column in fields(row)}


def _digest(fact: Fact, secret: bytes) -> str:
    """
    The same for repeats of one fact.

    Keyed when comments are encrypted: a plain digest of a short comment could be guessed. The
    moment of arrival does not count, since a repeat arrives later.
    """
    parts = (
        fact.issuer, fact.card, fact.outcome, fact.reason_system, fact.reason_code, fact.comment,
        fact.happened_at and fact.happened_at.isoformat(), *sorted(fact.suggestions),
    )  # fmt: skip
    key = hashlib.sha256(secret).digest() if secret else b""
    text = "\0".join(part or "" for part in parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, key=key, digest_size=32).hexdigest()


def oldest_kept(now: datetime, days: int) -> datetime:
    """The moment before which nothing is kept."""
    return now - timedelta(days=days)
