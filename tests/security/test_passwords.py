"""No password is shown: not in a URL for people, not in a driver's words, however odd its characters are."""

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seeder.config.urls import driver_url, masked, masked_broker
from seeder.errors import DatabaseUnreachable
from seeder.postgres.databases import Databases

ODD = st.text(st.sampled_from("aB1:@/?#%&=+ ;,.-~\\\"'[]{}$é\n"), max_size=6)

#: Begins and ends like nothing else in a URL, so that a part that is left shows.
PASSWORDS = ODD.map(lambda text: f"S3{text}cr3t")


def shows(text: str) -> bool:
    return "S3" in text or "cr3t" in text


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://user:{}@host:5432/name",
        "postgresql+psycopg2://:{}@host/name",
        "postgres://user:{}@/name?host=/var/run",
        "postgresql://user@host/name?password={}",
        "postgresql://user@host/name?sslmode=require&password={}&password={}",
        "postgresql://host/name?sslkey=k&sslpassword={}",
        "postgresql:///name?oauth_client_secret={}",
        "postgresql://user:{}@[::1]:5432/name?password={}",
    ],
)
@settings(max_examples=30)
@given(password=PASSWORDS)
def test_a_database_url_is_shown_without_its_password(form: str, password: str) -> None:
    url = form.replace("{}", quote(password, safe=""))
    for shown in (masked(url), masked(driver_url(url)), Databases(url).url()):
        assert not shows(shown)
        assert shown.startswith("postgresql://")
        assert "name" in shown


@pytest.mark.parametrize(
    "password", ["S3@cr3t", "S3@a@cr3t", "S3/a@cr3t", "S3@a/b@cr3t", "S3:cr3t", "S3?cr3t"]
)
def test_a_password_that_should_have_been_encoded_is_not_shown_either(password: str) -> None:
    url = f"postgresql://user:{password}@host/name"
    assert masked(url).endswith("host/name")
    assert not shows(masked(url))
    with pytest.raises(DatabaseUnreachable) as unreachable:
        Databases(url.replace("@host", "@host.invalid")).verify()
    assert not shows(str(unreachable.value))


@pytest.mark.parametrize(
    ("form", "rest"),
    [
        ("redis://:{}@host:6379/0", "@host:6379/0"),
        ("rediss://user:{}@host/0?ssl_cert_reqs=required", "@host/0?ssl_cert_reqs=required"),
        ("redis+socket:///run/redis.sock?password={}", "redis+socket:///run/redis.sock?password=***"),
        ("redis://host/0?PASSWORD={}&virtual_host=1", "redis://host/0?PASSWORD=***&virtual_host=1"),
        ("redis://:{}@one:6379/0;redis://:{}@two:6379/0", "@two:6379/0"),
    ],
)
@settings(max_examples=30)
@given(password=PASSWORDS)
def test_a_brokers_url_is_shown_without_its_password(form: str, rest: str, password: str) -> None:
    shown = masked_broker(form.replace("{}", quote(password, safe="")))
    assert not shows(shown)
    assert shown.endswith(rest)
    if "?password" not in form.lower():
        assert not shows(masked_broker(form.replace("{}", password)))


@pytest.mark.parametrize("url", ["redis://host:6379/0", "redis://", "redis+socket:///run/redis.sock"])
def test_a_brokers_url_without_a_password_is_shown_as_it_is(url: str) -> None:
    assert masked_broker(url) == url


@example("S3cr3t", "S3cr3tcr3t")
@settings(max_examples=60)
@given(one=PASSWORDS, other=PASSWORDS)
def test_no_text_keeps_a_password_of_any_database(one: str, other: str) -> None:
    databases = Databases(
        f"postgresql://user:{quote(one, safe='')}@host/name",
        {7: f"postgresql://host/name?password={quote(other, safe='')}"},
    )
    spelled = [spell(secret) for secret in (one, other) for spell in (str, quote, quote_plus)]
    text = databases.scrubbed(f"before {' and '.join(spelled)} after")
    assert not shows(text)
    assert text.startswith("before ***")
    assert text.endswith("*** after")


def test_a_text_is_left_as_it_is_where_no_database_has_a_password() -> None:
    assert Databases("postgresql://user@host/name").scrubbed("user at host") == "user at host"


@settings(max_examples=40)
@given(
    password=PASSWORDS, where=st.sampled_from(["user:{}@127.0.0.1:1/name", "127.0.0.1:1/name?password={}"])
)
def test_a_database_out_of_reach_is_told_without_its_password(password: str, where: str) -> None:
    url = "postgresql://" + where.format(quote(password, safe=""))
    with pytest.raises(DatabaseUnreachable) as unreachable:
        Databases(url).verify()
    message = str(unreachable.value)
    assert "127.0.0.1:1/name" in message
    assert "Connection refused" in message
    assert not shows(message)
    assert unreachable.value.__cause__ is None


def test_a_refused_connection_is_told_without_what_the_driver_repeats() -> None:
    with pytest.raises(DatabaseUnreachable) as unreachable:
        Databases("postgresql://user:S3cr3t@127.0.0.1:1/name", {7: "postgresql://h/n?sslmode=S3cr3t"}).verify(
            7
        )
    assert 'invalid sslmode value: "***"' in str(unreachable.value)
    assert "SEEDER_DATABASES" in str(unreachable.value)
