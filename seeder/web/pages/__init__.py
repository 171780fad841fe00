"""The HTML pages, one file a page; ``asked``, ``joblist``, ``tiles`` and ``verdict`` are what they show."""

from seeder.web.pages import agency, login, monitoring

#: Every page's router.
ROUTERS = (login.router, monitoring.router, agency.router)
