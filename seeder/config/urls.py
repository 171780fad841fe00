"""The URLs of PostgreSQL and Redis: as the driver takes them, and for people, without their passwords."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from sqlalchemy.engine import URL, make_url

#: libpq's password, sslpassword and oauth_client_secret
#: (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
_SECRET_PARAMETER = re.compile("password|secret", re.IGNORECASE)

#: A URL whose place for the host names several, as libpq has it; SQLAlchemy's own grammar up to there, so
#: that a password may hold what it may hold in a URL with one host.
_SEVERAL_HOSTS = re.compile(
    r"(?P<scheme>[\w+]+)://(?P<who>(?:[^:/@]*(?::[^@]*)?@)?+)"
    r"(?P<hosts>[^/?@]*,[^/?@]*)(?P<rest>(?:[/?].*)?)",
    re.DOTALL,
)
_HOST = re.compile(r"(?P<name>\[[^\[\]]*\]|[^:\[\]]*)(?::(?P<port>\d*))?")
_PORT = "5432"


def driver_url(url: str) -> URL:
    """The URL for psycopg2, whatever driver it names; with none, SQLAlchemy 2.1 would take psycopg 3.

    Several hosts, for libpq to try in turn, become the parameters ``host=a,b`` and ``port=5432,5433``,
    whichever way they are written: ``//a,b:5433/``, which libpq knows and SQLAlchemy doesn't, or
    ``?host=a&host=b:5433``, where it is the other way round. Raises ValueError or ArgumentError.
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
    """
    found = _SEVERAL_HOSTS.fullmatch(url)
    hosts = [_HOST.fullmatch(one) for one in found["hosts"].split(",")] if found else []
    if found and all(hosts):
        parsed = make_url(f"{found['scheme']}://{found['who']}{found['rest'] or '/'}")
        pairs = [(one["name"].strip("[]"), one["port"] or _PORT) for one in hosts if one]
        return _driver(parsed.difference_update_query(["host", "port"]), pairs)
    parsed = make_url(url)
    return _driver(parsed, _asked_for(parsed))


def _driver(url: URL, hosts: list[tuple[str, str]]) -> URL:
    if len(hosts) > 1:
        names, ports = zip(*hosts, strict=True)
        url = url.update_query_dict({"host": ",".join(names), "port": ",".join(ports)})
    return url.set(drivername="postgresql+psycopg2")


def _asked_for(url: URL) -> list[tuple[str, str]]:
    """The hosts in the parameters, with their ports, where there are several."""
    names = [name for one in url.normalized_query.get("host", ()) for name in one.split(",")]
    if len(names) < 2:
        return []
    if "port" in url.query:
        ports = [port or _PORT for one in url.normalized_query["port"] for port in one.split(",")]
        # As with libpq, one port is everybody's.
        ports = ports * len(names) if len(ports) == 1 else ports
        return list(zip(names, ports, strict=True))
    pairs = [_HOST.fullmatch(name) for name in names]
    return [(one["name"].strip("[]"), one["port"] or _PORT) for one in pairs if one]


def hosts_of(url: URL) -> list[tuple[str, str]]:
    """Host and port of each, of a ``driver_url`` with several; else empty."""
    return _asked_for(url)


def same_place(url: URL) -> URL:
    """The URL, but for the order in which its hosts are tried."""
    return _driver(url, sorted(hosts_of(url)))


def masked(url: str | URL) -> str:
    """The URL for people: no password, neither before the @ nor among the parameters; several hosts are
    written as libpq has them."""
    url = _readable(url)
    if hidden := {name: "***" for name in url.query if _SECRET_PARAMETER.search(name)}:
        url = url.update_query_dict(hidden)
    url = url.set(host=_behind_at(url.host), database=_behind_at(url.database))
    hosts = hosts_of(url)
    if any("/" in name for name, _ in hosts):
        # A socket's folder can't stand there as it is.
        hosts = []
    if hosts:
        url = url.difference_update_query(["host", "port"]).set(host=_STAND_IN)
    shown = url.set(drivername="postgresql").render_as_string(hide_password=True)
    return shown.replace(_STAND_IN, ",".join(map(_written, hosts)), 1) if hosts else shown


_STAND_IN = "several-hosts.invalid"


def _readable(url: str | URL) -> URL:
    if isinstance(url, URL):
        return url
    try:
        return driver_url(url)
    except ValueError:
        # As many ports as hosts are wanted only for connecting.
        return make_url(url)


def _written(host: tuple[str, str]) -> str:
    name, port = host
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


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
