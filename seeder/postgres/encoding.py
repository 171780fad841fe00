"""Databases in other encodings than UTF-8: a character that can't be converted costs one value, not a run.

Our connections use UTF-8, and PostgreSQL converts. It can't always: bytes in SQL_ASCII have no known meaning,
WIN1252 and EUC_JP have bytes without one, and LATIN1 has no ł. A statement that meets one such character
fails as a whole (22021, 22P05), even if it returns 10,000 rows. So it is repeated in the server's own
encoding, which PostgreSQL doesn't convert, and what isn't text becomes U+FFFD (seeder.postgres.session). What
the database can't store is written as ``?``.
https://www.postgresql.org/docs/current/multibyte.html
"""

import codecs
import re

from psycopg2 import errorcodes, extensions

#: What connections ask for at their start, which wins over PGCLIENTENCODING, the role's, the database's and
#: the server's settings.
CLIENT_ENCODING = "UTF8"

#: What stands for bytes that aren't text.
UNREADABLE = "\N{REPLACEMENT CHARACTER}"

#: What PostgreSQL answers where it can't convert, or finds bytes that aren't text.
INCONVERTIBLE = (errorcodes.CHARACTER_NOT_IN_REPERTOIRE, errorcodes.UNTRANSLATABLE_CHARACTER)

_PREFIX = "seeder_lenient_"


def codec_of(server_encoding: str) -> str:
    """Python's codec for an encoding of PostgreSQL's. Of SQL_ASCII, whose bytes may be anything, UTF-8 is the
    best guess; of one that Python doesn't know (EUC_TW), ASCII is what all have in common."""
    key = _key(server_encoding)
    if key == "SQLASCII":
        return "utf_8"
    return _PYTHON.get(key, "ascii")


def writable(value: object, server_encoding: str) -> object:
    """The value, or each of a list's, with ``?`` for the characters that such a database can't hold."""
    if isinstance(value, str):
        return value.encode(codec_of(server_encoding), "replace").decode(codec_of(server_encoding))
    if isinstance(value, list):
        return [writable(one, server_encoding) for one in value]
    return value


def read_leniently(server_encoding: str) -> None:
    """Have psycopg2 read that encoding without ever failing, on connections whose client encoding it is.

    It finds codecs in a dictionary of its own, by PostgreSQL's name
    (https://www.psycopg.org/docs/extensions.html#psycopg2.extensions.encodings).
    """
    extensions.encodings[_key(server_encoding)] = _PREFIX + codec_of(server_encoding)


def _key(encoding: str) -> str:
    """As psycopg2 looks it up (connection_int.c, clear_encoding_name)."""
    return re.sub("[^A-Z0-9]", "", encoding.upper())


def _lenient(name: str) -> codecs.CodecInfo | None:
    if not name.startswith(_PREFIX):
        return None
    base = codecs.lookup(name.removeprefix(_PREFIX))
    return codecs.CodecInfo(
        encode=lambda text, _errors="strict": base.encode(text, "replace"),
        decode=lambda data, _errors="strict": base.decode(data, "replace"),
        name=name,
    )


#: psycopg2's own, before any of them was made lenient.
_PYTHON = dict(extensions.encodings)
codecs.register(_lenient)
