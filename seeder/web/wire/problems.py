"""The body of the answer to a failed request."""

from seeder.web.wire.base import Wire, value


class ProblemDetail(Wire):
    """One thing that is wrong with a request."""

    where: str = value(
        description="The field, and whether it is in the query, path or body.", example="the query limit"
    )
    problem: str = value(
        description="What is wrong with it.", example="Input should be less than or equal to 1000"
    )


class Fault(Wire):
    code: str = value(description="For programs; the same for the same kind of error.", example="notFound")
    message: str = value(
        description="For people: what happened, to what, and what to do next.",
        example="No enabled manifest has the table 'sales'. `seeder status` lists the tables.",
    )
    details: list[ProblemDetail] = value(
        description="Of a request that can't be used: each fault.", example=[]
    )


class Problem(Wire):
    """Every answer with a status of 400 or more."""

    error: Fault
