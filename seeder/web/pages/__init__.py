"""The HTML pages, one file a page."""

from seeder.web.pages import login

#: Every page's router.
ROUTERS = (login.router,)
