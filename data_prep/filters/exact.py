"""The same text twice for one question.

Serves design.md, section Guided CoT distillation, item 6. Only texts of one question are compared: in a domain with
short answers two questions may well have the same right chain. Memory holds the hashes of the question at hand, so
candidates of one question have to come one after the other.
"""

import hashlib

from data_prep.filters import Candidate, Refusal


def normal_text(text: str) -> str:
    """The text as duplicates are compared: blanks run together, case ignored."""
    return " ".join(text.split()).casefold()


class ExactDuplicate:
    """Refuses a text that stood before for the same uid, blanks and case aside."""

    def __init__(self) -> None:
        self._uid: str | None = None
        self._seen: dict[bytes, str] = {}

    def refuse(self, candidate: Candidate) -> Refusal | None:
        """See `Filter`."""
        if candidate.uid != self._uid:
            self._uid, self._seen = candidate.uid, {}
        text = normal_text(candidate.text).encode("utf-8", "replace")
        digest = hashlib.blake2b(text, digest_size=16).digest()
        if digest in self._seen:
            return Refusal("exact duplicate", f"uid {candidate.uid} has this text from {self._seen[digest]}")
        self._seen[digest] = candidate.source
        return None
