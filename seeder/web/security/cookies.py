"""A browser's signed cookie after a login, and the token that shows that a request comes from our own page.

Both are keyed hashes, so that nothing is stored here. The key is made from the API token: with another token
all sessions are over.
"""

import hmac
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256

COOKIE = "seeder_session"

#: A working day; then the token is asked for again.
SESSION_SECONDS = 12 * 3600

#: Characters of a name somebody gives at the login.
LONGEST_NAME = 100


@dataclass(frozen=True)
class Session:
    """A login: the name given there, until when it holds (seconds since 1970), what tells it from others."""

    name: str
    until: int
    nonce: str


class Sessions:
    """Signs and reads sessions. Without a token there are none, but requests can still be told apart."""

    def __init__(self, token: str | None) -> None:
        self._key = sha256(b"seeder session " + token.encode()).digest() if token else secrets.token_bytes(32)

    def begin(self, name: str) -> str:
        """The cookie of a new session."""
        session = [name[:LONGEST_NAME], int(time.time()) + SESSION_SECONDS, secrets.token_urlsafe(9)]
        text = urlsafe_b64encode(json.dumps(session).encode()).decode()
        return f"{text}.{self._hash('cookie', text)}"

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie that we made and that still holds."""
        text, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode(), self._hash("cookie", text).encode()):
            return None
        session = Session(*json.loads(urlsafe_b64decode(text)))
        return session if session.until > time.time() else None

    def csrf(self, whose: str) -> str:
        """The token that a page of this session, or of this proxy's user, sends with what it asks for."""
        return self._hash("csrf", whose)

    def _hash(self, purpose: str, text: str) -> str:
        return hmac.new(self._key, f"{purpose} {text}".encode(), sha256).hexdigest()
