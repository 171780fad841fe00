"""`make fuzz`: atheris makes texts, led by the ways through the guard's code that they take; what the guard
accepts is executed on a PostgreSQL that tells what it did (canary.py). Ends with exit code 0 after the time
that is given, or with the first text that isn't refused and isn't a query, or that crashes the guard.

    python tests/security/fuzz.py [seconds]
"""

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent)]

URL = "SEEDER_FUZZ_POSTGRES_URL"
SECONDS = "30"

#: Separates a manifest's SQL from an agency's slug in the texts that are made.
BETWEEN = "\x1f"


def main() -> int:
    """Starts the server and, in a process of its own, which libFuzzer ends as it likes, the fuzzing."""
    if find_spec("atheris") is None:
        sys.stdout.write(
            "Nothing was fuzzed: atheris has no wheel for this system (requirements-fuzz.lock).\n"
        )
        return 0
    from support.emptied import fresh_database
    from support.homes import new_home, serving
    from support.mutation import CORPUS, SHARDS

    seconds = sys.argv[1] if len(sys.argv) > 1 else SECONDS
    with (
        new_home() as home,
        serving(home, with_redis=False) as servers,
        fresh_database(str(servers.database_url)) as url,
        tempfile.TemporaryDirectory() as folder,
    ):
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, text in enumerate(CORPUS):
            (corpus / f"{number}").write_bytes(f"{text}{BETWEEN}ua".encode())
        words = Path(folder) / "words"
        words.write_text("".join(f'"{_escaped(shard)}"\n' for shard in SHARDS))
        command = [sys.executable, __file__, str(corpus), f"-dict={words}", f"-max_total_time={seconds}"]
        command += [f"-artifact_prefix={folder}/", "-max_len=2000", "-timeout=20"]
        # Every line of progress is left out, the figures at the end are not.
        command += ["-verbosity=0", "-print_final_stats=1"]
        return subprocess.run(command, env={**os.environ, URL: url}, check=False).returncode


def fuzz(url: str) -> None:
    """Doesn't return."""
    import atheris

    with atheris.instrument_imports(include=["seeder.sql"], enable_loader_override=False):
        from test_guard_fuzz import accepted
    from support.canary import canary_in

    with canary_in(url) as canary:

        def one(data: bytes) -> None:
            text, _, slug = data.decode(errors="replace").partition(BETWEEN)
            try:
                if query := accepted(text, slug):
                    canary.judge(query.text)
            except BaseException:
                sys.stderr.write(f"The manifest {text!r} of the agency {slug!r}:\n")
                raise

        atheris.Setup(sys.argv, one)
        atheris.Fuzz()


def _escaped(text: str) -> str:
    """As libFuzzer's dictionaries have it."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02X}" for byte in text.encode()
    )


if __name__ == "__main__":
    if URL in os.environ:
        fuzz(os.environ[URL])
    else:
        sys.exit(main())
