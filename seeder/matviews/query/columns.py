"""The columns of a query or relation, and whether directives that name columns fit them."""

import psycopg2
from psycopg2 import errorcodes

from seeder.errors import DirectiveUnfit, SeederError
from seeder.matviews.policy import Policy
from seeder.matviews.query.probe import PROBE, probe
from seeder.postgres.failures import judged
from seeder.postgres.session import Row, Session
from seeder.sql.directives import Index
from seeder.sql.expectations import Fresh, NotNull
from seeder.sql.guard import SafeQuery
from seeder.wording import listed

#: What PostgreSQL answers to an expectation whose column isn't there, or has a type that can't be compared.
UNFIT = (errorcodes.UNDEFINED_COLUMN, errorcodes.UNDEFINED_FUNCTION)

#: Columns or relations in a message; a matview may have 1,600 columns.
MOST_NAMED = 20

#: An index needs a default operator class for the type or for what it is coerced to without a change of its
#: bytes (indexcmds.c, GetDefaultOpClass). Enums, ranges, arrays and the like share one, so only base types
#: can lack it. Arrays are compared by their elements, and those of composite types by all of their fields; a
#: value of a composite type itself by as many fields as it takes, which only rows tell.
COLUMNS = """
with recursive part (number, type, inside) as (
    select attnum, atttypid, false
    from pg_attribute
    where attrelid = cast(%(relation)s as regclass) and attnum > 0 and not attisdropped
  union
    select part.number, next.type, next.inside
    from part
    join pg_type t on t.oid = part.type
    cross join lateral (
        select t.typbasetype, part.inside where t.typtype = 'd'
      union all
        select t.typelem, true where t.typtype = 'b' and t.typcategory = 'A'
      union all
        select its.atttypid, true
        from pg_attribute its
        where t.typtype = 'c' and part.inside
          and its.attrelid = t.typrelid and its.attnum > 0 and not its.attisdropped
    ) as next (type, inside)
)
select a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
       exists (
           select from part
           where part.number = a.attnum and not part.inside
             and part.type in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
       ) as dated,
       not exists (
           select from part join pg_type base on base.oid = part.type
           where part.number = a.attnum and base.typtype = 'b' and base.typcategory <> 'A'
             and not exists (
                 select from pg_opclass o join pg_am m on m.oid = o.opcmethod
                 where m.amname = 'btree' and o.opcdefault
                   and (o.opcintype = base.oid or exists (
                       select from pg_cast
                       where castsource = base.oid and casttarget = o.opcintype
                         and castmethod = 'b' and castcontext = 'i'
                   ))
             )
       ) as orderable
from pg_attribute a
where a.attrelid = cast(%(relation)s as regclass) and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""


def unfit_directive_or_judged(
    session: Session, relation: str, policy: Policy, error: psycopg2.Error
) -> SeederError:
    """The error in terms of a directive, if one doesn't fit the relation's columns; else PostgreSQL's own."""
    if policy.expect and error.pgcode in UNFIT and not session.closed:
        try:
            with session.transaction():
                if policy.role:
                    session.run_text(policy.set_role)
                refuse_unfit_to(session, relation, policy)
        except DirectiveUnfit as unfit:
            return unfit
    return judged(error)


def refuse_unfit(session: Session, query: SafeQuery, policy: Policy) -> None:
    """Raise DirectiveUnfit if a directive doesn't fit the query's columns.

    Nothing of the query is executed, so a misspelt column needn't wait for the query's end to be found.
    """
    if _named(policy):
        with probe(session, query, policy.as_manifest):
            refuse_unfit_to(session, PROBE, policy)


def refuse_unfit_to(session: Session, relation: str, policy: Policy, what: str = "the query") -> None:
    """The same for the columns of a relation (a quoted name, or the digits of its oid), which the message
    calls `what`."""
    named = _named(policy)
    if not named:
        return
    columns = {row.name: row for row in session.rows(COLUMNS, relation=relation)}
    unfit = [(one, reason) for one in named if (reason := _misfit(one, columns))]
    if unfit:
        (directive, reason), *more = unfit
        told = "; ".join([reason, *(f"nor does {other}: {its_reason}" for other, its_reason in more)])
        raise DirectiveUnfit(directive=str(directive), what=what, reason=told)


def _misfit(directive: Index | NotNull | Fresh, columns: dict[str, Row]) -> str | None:
    """The reason why a directive doesn't fit these columns, for the first of its columns that doesn't."""
    for name in directive.columns:
        column = columns.get(name)
        if column is None:
            if not columns:
                return f"it has no column {name}, nor any other"
            return f"it has no column {name}; its columns are {listed([*columns], MOST_NAMED)}"
        if isinstance(directive, Fresh) and not column.dated:
            return f"{name} is of type {column.type}, neither a date nor a timestamp"
        if isinstance(directive, Index) and not column.orderable:
            return f"{name} is of type {column.type}, which has no order and so can't be indexed"
    return None


def _named(policy: Policy) -> list[Index | NotNull | Fresh]:
    """The directives that name columns."""
    return [*policy.indexes, *(one for one in policy.expect if isinstance(one, NotNull | Fresh))]
