"""Exchanges a matview and its copy in one transaction, which holds exclusive locks for milliseconds only.

While a statement waits for an exclusive lock, later statements queue behind it, those of readers included.
So the wait is short, and if it isn't enough the transaction is rolled back and tried again after a pause in
which the others can proceed. The wait is also shorter than deadlock_timeout (1 s), so that a reader is never
chosen as the victim of a deadlock with the exchange.

Under the locks everything is checked again, since people may have changed it after the copy was made: the two
are exchanged only if the copy still has everything that is set on the old one.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psycopg2
from psycopg2 import errorcodes

from seeder.errors import CopyUnlike, DependentsInTheWay, MatviewChanged, MatviewInUse
from seeder.matviews.relation import Matview, matviews_above, read_matview
from seeder.matviews.swap.carry_over import carry_over, compare_attributes, say_left_alone
from seeder.matviews.swap.copies import OWN_ROLE, Pair
from seeder.matviews.swap.copy_names import COPY_PREFIX, copy_of
from seeder.matviews.swap.dependents import View, refuse_hindrances, refuse_lost_columns, views
from seeder.postgres.failures import judged, one_line
from seeder.postgres.session import Session
from seeder.postgres.sqlstates import is_overtaken
from seeder.sql.names import MatviewName, quoted

#: How long everybody may have to queue behind us, and how often and after which pause it is tried again:
#: half a minute in all.
LOCK_WAIT_MS = 100
TRIES = 30
PAUSE_SECONDS = 1.0

#: A difference that comes back so often in a row isn't somebody's who works on the matview just now.
SAME_EACH_TIME = 5

#: What the old matview is called between the first rename and its drop; never committed.
OLD_PREFIX = "seeder:old:"

SHORT_LOCK_TIMEOUT = f"set local lock_timeout = {LOCK_WAIT_MS};\nset local search_path = pg_catalog;\n"

#: LOCK TABLE knows no matviews, and locks what is below a view as well. This statement changes nothing where
#: the owner is the owner already (tablecmds.c, ATExecChangeOwner), and takes the lock.
LOCK = "alter {kind} {name} owner to {owner}"

#: What can be changed without a lock on the matview: its columns' privileges, and its indexes. These
#: statements change nothing, but take the indexes' locks and make the columns' rows in pg_attribute ours.
LOCK_PARTS = """
select string_agg(statement, ';\n') as statements
from (
    select format('alter index %%I.%%I owner to %%I', n.nspname, c.relname, pg_get_userbyid(c.relowner))
    from pg_index i
    join pg_class c on c.oid = i.indexrelid
    join pg_namespace n on n.oid = c.relnamespace
    where i.indrelid = cast(%(oid)s as oid)
  union all
    select format('alter materialized view %%I.%%I ', n.nspname, c.relname)
           || string_agg(
               format('alter column %%I set statistics %%s', attname, coalesce(attstattarget, -1)), ', '
           )
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and attnum > 0 and not attisdropped
    where c.oid = cast(%(oid)s as oid)
    group by n.nspname, c.relname
) as seizing (statement)
"""

#: The old one's, in which a person may have written since.
COMMENT_OF_OLD = "select obj_description(cast(%(oid)s as oid), 'pg_class') as comment"
RESTAMP = "comment on materialized view {matview} is %(comment)s"

RENAME = "{role}alter materialized view {matview} rename to {name}"
DROP_OLD = "{role}drop materialized view {matview}"

#: What a lock that can't be had says, and what a deadlock does.
IN_USE = (errorcodes.LOCK_NOT_AVAILABLE, errorcodes.DEADLOCK_DETECTED)

#: The comment that the new matview shall have, made of the old one's.
Restamp = Callable[[str | None], str | None]


class ChangedMeanwhile(Exception):
    """Something was changed before the locks were taken; another try may succeed."""


class CopyDiffers(ChangedMeanwhile):
    """The copy still differs from the old matview; the text says in what.

    Somebody has changed the old one since, or PostgreSQL doesn't allow the two to be the same.
    """


def exchange(session: Session, pairs: Sequence[Pair], restamp: Restamp) -> None:
    """Put the copies in place of the old matviews; `restamp` makes the comment of the first.

    Pairs come in the order in which they read each other. Raises MatviewInUse or MatviewChanged where it
    can't be done now, ManifestError where it can't be done; then nothing was changed, the copies are there.
    """
    first, old = pairs[0], [pair.old for pair in pairs]

    def attempt() -> None:
        with session.transaction():
            unchanged(session, old)
            for pair in pairs:
                # What people have changed on the old one since.
                session.run_text(pair.role)
                carry_over(session, pair)
            known = views(session, old)
        with exclusively(session, old, first.role, known):
            on_top = _verified(session, pairs, known)
            comments = [session.row(COMMENT_OF_OLD, oid=matview.oid).comment for matview in old]
            renames = [_replace(session, pair) for pair in pairs]
            _point(session, first, on_top)
            for pair in reversed(pairs):
                session.run_text(DROP_OLD.format(role=pair.role, matview=hidden(pair.old.name).quoted))
            # With its new name, the copy is in the state that it stays in.
            comments[0] = restamp(comments[0])
            for pair, statements, comment in zip(pairs, renames, comments, strict=True):
                session.run_text(pair.role + ";\n".join(statements))
                session.run(RESTAMP.format(matview=pair.old.name.quoted), comment=comment)

    patiently(session, first.old, attempt)


def patiently(session: Session, old: Matview, attempt: Callable[[], None]) -> None:
    """Try until the locks are granted and nothing has changed in the meantime."""
    table_name = str(old.name)
    differed: list[str] = []
    for last in [False] * (TRIES - 1) + [True]:
        try:
            return attempt()
        except psycopg2.Error as error:
            if error.pgcode not in IN_USE and not is_overtaken(error):
                raise judged(error) from error
            if last:
                raise MatviewInUse(table_name=table_name, tries=TRIES, reason=one_line(error)) from error
        except ChangedMeanwhile as moved:
            if isinstance(moved, CopyDiffers):
                differed.append(str(moved))
                if differed[-SAME_EACH_TIME:] == [str(moved)] * SAME_EACH_TIME:
                    raise CopyUnlike(table_name=table_name, what=str(moved)) from None
            if last:
                raise MatviewChanged(table_name=table_name, what=str(moved)) from None
        _pause(session)
    return None


def _pause(session: Session) -> None:
    """Sleeps on the server, so that canceling the run also ends the pause."""
    seconds = random.uniform(0.5, 1.5) * PAUSE_SECONDS  # noqa: S311 - no secret is drawn here
    try:
        session.run("select pg_sleep(%(seconds)s)", seconds=seconds)
    except psycopg2.Error as error:
        raise judged(error) from error


@contextmanager
def exclusively(
    session: Session, old: Sequence[Matview], role: str, on_top: Sequence[View] = ()
) -> Iterator[None]:
    """A transaction with the exclusive locks on matviews and on the views on top of them.

    Taken from the top down, as readers take theirs. `role` is for the first matview.
    """
    locks = [OWN_ROLE]
    locks += (LOCK.format(kind="view", name=view.name, owner=quoted(view.owner)) for view in on_top)
    for number, matview in reversed(list(enumerate(old))):
        locks += () if number else (role,)
        name, owner = matview.name.quoted, quoted(matview.owner)
        locks.append(LOCK.format(kind="materialized view", name=name, owner=owner))
    with session.transaction():
        try:
            session.run_text(SHORT_LOCK_TIMEOUT + ";\n".join(lock.rstrip("; \n") for lock in locks))
        except psycopg2.errors.UndefinedTable as error:
            raise ChangedMeanwhile(one_line(error)) from error
        yield


def unchanged(session: Session, old: Sequence[Matview]) -> None:
    """Raise MatviewChanged where these, or the matviews on top of the first, are no longer the same."""
    table_name = str(old[0].name)
    for matview in old:
        if (now := read_matview(session, matview.oid)) is None or now.identity != matview.identity:
            raise MatviewChanged(table_name=table_name, what=f"{matview.name} is no longer the same")
    if set(matviews_above(session, old[0].oid)) != {matview.oid for matview in old[1:]}:
        raise MatviewChanged(table_name=table_name, what="the materialized views on top of it are others now")


def rename(session: Session, role: str, matview: MatviewName, new: MatviewName) -> None:
    session.run_text(RENAME.format(role=role, matview=matview.quoted, name=quoted(new.name)))


def hidden(matview: MatviewName) -> MatviewName:
    """The name of the old matview while the copy already has its own; never committed."""
    return MatviewName(matview.schema, OLD_PREFIX + copy_of(matview).name.removeprefix(COPY_PREFIX))


def _replace(session: Session, pair: Pair) -> tuple[str, ...]:
    """Give the copy the old one's name; returns the statements that rename its indexes later.

    The old one is renamed first: with that its row in pg_class is ours, so that a GRANT, which takes no lock
    on the matview, has either been seen or fails. Likewise what is seized.
    """
    old, copy = pair.old.name, pair.copy.name
    rename(session, pair.role, old, hidden(old))
    # None where it has neither columns nor indexes.
    if statements := session.row(LOCK_PARTS, oid=pair.old.oid).statements:
        session.run_text(statements)
    model, what = compare_attributes(session, pair)
    if what is not None:
        raise CopyDiffers(what)
    rename(session, pair.role, copy, old)
    return model.renames


def _verified(session: Session, pairs: Sequence[Pair], known: Sequence[View]) -> list[View]:
    """Check everything again under the locks; returns the views as they are now."""
    old = [pair.old for pair in pairs]
    unchanged(session, old)
    refuse_hindrances(session, old)
    refuse_lost_columns(session, pairs[0])
    on_top = views(session, old)
    if {view.oid for view in on_top} != {view.oid for view in known}:
        raise ChangedMeanwhile("the views on top of it are others now")
    return on_top


def _point(session: Session, pair: Pair, on_top: Sequence[View]) -> None:
    """Redefine the views to read the new matviews, which have the names now."""
    session.run_text(OWN_ROLE)
    for view in on_top:
        for option in view.unknown:
            say_left_alone(f"{option} of a view")
        try:
            session.run_text(view.again)
        except psycopg2.ProgrammingError as error:
            raise DependentsInTheWay(
                table_name=str(pair.old.name), reason=one_line(error), dependents=view.name
            ) from error
