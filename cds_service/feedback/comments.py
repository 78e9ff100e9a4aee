"""Comments of clinicians may name a patient: encrypted at rest when a key is set."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

UNREADABLE = "(encrypted with a key that is not set)"


class CommentBox:
    """Encrypts with the first key, decrypts with any: so a key can be replaced by a newer one."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Keys are Fernet keys; none means that comments are kept as they come."""
        self._fernet = MultiFernet([Fernet(key) for key in keys]) if keys else None
        self.secret = keys[-1].encode() if keys else b""

    def close(self, comment: str | None) -> tuple[str | None, bool]:
        """The comment as it is kept, and whether it is encrypted."""
        if comment is None or self._fernet is None:
            return comment, False
        return self._fernet.encrypt(comment.encode("utf-8", "replace")).decode(), True

    def open(self, kept: str | None, encrypted: bool) -> str | None:
        """The comment as it came."""
        if kept is None or not encrypted:
            return kept
        if self._fernet is None:
            return UNREADABLE
        try:
            return self._fernet.decrypt(kept).decode()
        except InvalidToken:
            return UNREADABLE
