"""The servers' URLs, for the driver and for people: no password is ever shown."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from sqlalchemy.engine import URL, make_url

#: libpq's password, sslpassword and oauth_client_secret
#: (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
_SECRET_PARAMETER = re.compile("password|secret", re.IGNORECASE)


def driver_url(url: str) -> URL:
    """The URL for psycopg2, whatever driver it names; with none, SQLAlchemy 2.1 would take psycopg 3."""
    return make_url(url).set(drivername="postgresql+psycopg2")


def masked(url: str | URL) -> str:
    """The URL for people: no password, neither before the @ nor among the parameters."""
    url = make_url(url)
    if hidden := {name: "***" for name in url.query if _SECRET_PARAMETER.search(name)}:
        url = url.update_query_dict(hidden)
    url = url.set(host=_behind_at(url.host), database=_behind_at(url.database))
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def masked_broker(url: str) -> str:
    """A Redis URL, or several, without password; what stands between the first : and the last @ is taken for
    one, since an unescaped / or @ in it is what a person who reads this may have to find."""
    url = re.sub(r"(?i)(?<=password=)[^&;]*", "***", url)
    return re.sub(r"(?s)(?<=://)([^:@]*):.*@", r"\1:***@", url)


def without_secrets(text: str, urls: Iterable[URL]) -> str:
    """The text without any password of these URLs, as it is or as a URL writes it."""
    secrets = {secret for url in urls for secret in _secrets(url)}
    spelled = {spell(secret) for secret in secrets for spell in (str, quote, quote_plus, _quoted_whole)}
    # The longest first: one may be a part of another.
    for secret in sorted(spelled, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _secrets(url: URL) -> Iterator[str]:
    if url.password:
        yield str(url.password)
    for name, values in url.normalized_query.items():
        if _SECRET_PARAMETER.search(name):
            yield from filter(None, values)
    for part in (url.host, url.database):
        if part and (rest := part.rpartition("@")[0]):
            yield rest


def _behind_at(part: str | None) -> str | None:
    """Of a password with an unescaped @ the URL's parser takes what is behind it for host or database."""
    return part and part.rpartition("@")[2]


def _quoted_whole(text: str) -> str:
    return quote(text, safe="")
