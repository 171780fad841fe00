"""Redis' URL: what may stand in it, and that ``rediss://`` verifies the server's certificate.

kombu finds most faults in a URL only when it connects, with a traceback in each process, and a run may have
been recorded by then. So all of the URL is checked here, when the settings are read.
"""

import re
import ssl
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from kombu.connection import Connection
from kombu.transport import TRANSPORT_ALIASES
from kombu.utils.url import parse_url

#: Schemes that Celery or Redis' client know, or people try. Seeder has been tested with a single Redis only.
_OTHER_SCHEMES = {
    *TRANSPORT_ALIASES, "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel", "sentinels",
    "unix", "valkey", "valkeys", "http", "https", "tcp",
}  # fmt: skip

_FORM = "write a Redis URL such as redis://:password@host:6379/0"
_TLS = "rediss"
_SOCKET = "redis+socket"

#: The parameters of a URL that kombu and Redis' client understand as text, besides those of TLS.
_PARAMETERS = {"redis": {"credential_provider"}, _TLS: {"credential_provider"}, _SOCKET: {"virtual_host"}}
_FILES = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}
_TLS_PARAMETERS = {
    *_FILES, "ssl_ca_path", "ssl_cert_reqs", "ssl_check_hostname", "ssl_ciphers", "ssl_password",
}  # fmt: skip
_CERT_REQS = ("required", "optional", "none", "CERT_REQUIRED", "CERT_OPTIONAL", "CERT_NONE")


def verify_broker_url(value: str) -> str:
    """The URL, or several with ``;`` between them, of which the first that can be reached is used.

    Raises ValueError, which says what to write and never repeats what may be a part of a password.
    """
    schemes = {_verify(one) for one in value.split(";")}
    if _TLS in schemes and len(schemes) > 1:
        raise ValueError("either all of several URLs begin with rediss://, or none does")
    return value


def tls_options(url: str) -> dict[str, object]:
    """What Celery's ``broker_use_ssl`` has to say: without it kombu takes any certificate of anybody's for
    ``rediss://`` (kombu 5.7.0). Flower knows it from there only. Empty where there is no TLS."""
    if not url.startswith(f"{_TLS}://"):
        return {}
    # Where there are several URLs, each one's options are its own.
    given = {} if ";" in url else parse_url(url).get("ssl", {})
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True, **given}


def _verify(value: str) -> str:
    """The scheme of one URL."""
    found = re.match(r"([a-z][a-z0-9+.-]*)://", value, re.IGNORECASE)
    scheme = found[1].lower() if found else ""
    if scheme not in _PARAMETERS:
        if scheme in _OTHER_SCHEMES:
            raise ValueError(
                f"{scheme}:// is not supported, a single Redis is: {_FORM}, or rediss:// for TLS"
            )
        raise ValueError(_FORM)
    if not value.startswith(f"{scheme}://"):
        raise ValueError(f"write {scheme}:// in small letters")
    try:
        # Whether it verifies is looked at below, rather than warned of by kombu.
        Connection(value.partition("?")[0], ssl=scheme == _TLS)  # type: ignore[no-untyped-call]
        parts = urlsplit(value)
    except (TypeError, ValueError):
        # kombu's own words may repeat a part of the password.
        raise ValueError(
            f"{_FORM}; in the password, / ? # @ ; and % are written %2F %3F %23 %40 %3B and %25"
        ) from None
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    _verify_database(parameters.get("virtual_host", "") if scheme == _SOCKET else parts.path)
    if scheme == _SOCKET and not parts.path.strip("/"):
        raise ValueError(
            "after redis+socket:// comes the socket's path, as in redis+socket:///run/redis.sock"
        )
    _verify_parameters(scheme, parameters)
    return scheme


def _verify_database(text: str) -> None:
    if not re.fullmatch(r"/?([0-9]{1,9}/?)?", text, re.ASCII):
        raise ValueError(
            "a database of Redis has a number, as the 0 in redis://:password@host:6379/0; in the password, / "
            "is written %2F"
        )


def _verify_parameters(scheme: str, parameters: dict[str, str]) -> None:
    allowed = _PARAMETERS[scheme] | (_TLS_PARAMETERS if scheme == _TLS else set())
    if not set(parameters) <= allowed:
        if scheme != _TLS and set(parameters) & _TLS_PARAMETERS:
            raise ValueError("options of TLS (ssl_…) want a URL that begins with rediss://")
        # What isn't known isn't repeated: it may be the rest of a password with a ? in it.
        raise ValueError(f"of parameters, behind a ?, it may have {', '.join(sorted(allowed))}")
    if "" in parameters.values():
        raise ValueError("a parameter, behind a ?, has a value")
    if scheme == _TLS:
        _verify_tls(parameters)


def _verify_tls(options: dict[str, str]) -> None:
    if options.get("ssl_cert_reqs", "none") not in _CERT_REQS:
        raise ValueError("ssl_cert_reqs is required (the default), optional or none")
    if options.get("ssl_check_hostname", "true").lower() not in ("true", "false"):
        raise ValueError("ssl_check_hostname is true (the default) or false")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("ssl_keyfile is the key of the certificate in ssl_certfile, which is missing")
    if not Path(options.get("ssl_ca_path", ".")).is_dir():
        raise ValueError("ssl_ca_path names no folder")
    for name in sorted(_FILES & set(options)):
        _verify_readable(name, options[name])
    _verify_contents(options)


def _verify_readable(name: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no path"
        raise ValueError(f"{name} names a file that can't be read ({why})") from None


def _verify_contents(options: dict[str, str]) -> None:
    """As Redis' client uses them when it connects."""
    context = ssl.create_default_context()
    try:
        if "ssl_ciphers" in options:
            context.set_ciphers(options["ssl_ciphers"])
        if "ssl_ca_certs" in options:
            context.load_verify_locations(options["ssl_ca_certs"])
        if "ssl_certfile" in options:
            # A function, since OpenSSL would ask the terminal for a password that isn't there.
            password = options.get("ssl_password", "")
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"), lambda: password)
    except (ssl.SSLError, OSError, ValueError):
        # What goes together isn't told apart: a key may be another certificate's, or its password wrong.
        told = ", ".join(sorted(set(options) & {*_FILES, "ssl_ciphers", "ssl_password"}))
        raise ValueError(f"OpenSSL can't use {told}") from None
