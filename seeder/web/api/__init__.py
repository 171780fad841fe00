"""The endpoints, one file per subject; docs/api.md lists them."""

from seeder.web.api import actions, events, frozen, health, history, jobs, summary

# A table's name may hold anything, a slash too, so what is more exact comes first: …/history before the job.
ROUTERS = (
    health.router,
    summary.router,
    frozen.router,
    events.router,
    actions.router,
    history.router,
    jobs.router,
)
