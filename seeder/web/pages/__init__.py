"""The HTML pages, one file a page; ``asked``, ``joblist``, ``tiles``, ``verdict`` and ``reasons`` are what
they show."""

from seeder.web.pages import agency, job, login, monitoring, night

#: Every page's router.
ROUTERS = (login.router, monitoring.router, agency.router, night.router, job.router)
