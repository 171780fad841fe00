"""The HTML pages, one file a page; ``asked``, ``joblist``, ``tiles``, ``verdict`` and ``reasons`` are what
they show."""

from seeder.web.pages import agency, frozen, graph, job, login, monitoring, night

#: Every page's router.
ROUTERS = (
    login.router,
    monitoring.router,
    frozen.router,
    agency.router,
    graph.router,
    night.router,
    job.router,
)
