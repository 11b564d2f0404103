"""The content hash of a question: what training, data preparation and evaluation know a row by.

Serves design.md, section Data (`uid`): it depends on nothing but the text, so that seeds, resumes and pairs can rest on it.
"""

import hashlib

UID_CHARS = 16


def content_uid(question: str, gold: str) -> str:
    """The content hash of a question and its gold answer: 16 hexadecimal digits of SHA-256."""
    digest = hashlib.sha256()
    for part in (question, gold):
        data = part.encode("utf-8")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:UID_CHARS]
