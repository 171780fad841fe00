"""The API and the pages: FastAPI, server-rendered templates, small scripts without a build step.

=================  ===================================================================================
``application``    the app: what it is made of, put together
``serving/``       uvicorn around it: where it listens, whether it may, limits on one client's connections
``security/``      who may read and write, the login's cookie, a limit on wrong tokens, headers of every
                   answer
``services``       what a request works with: the databases, the Celery app, all jobs in memory
``live/``          all jobs in memory, and server-sent events: one source for all viewers
``problems``       the one shape of all errors
``wire/``          the API's values as models, one file a subject: JSON, OpenAPI and TypeScript are made
                   from them
``cursors``        where a page of a long list ends
``filters``        what templates call: the pages' addresses, values as people read them
``api/``           the endpoints, one file a subject
``pages/``         the HTML pages, one file a page
``drawing/``       charts and timelines: where everything in the SVG is
``templates/``     Jinja2, escaped by default; ``base.html`` is the frame of every page
``static/``        styles and scripts, served under ``/static/``
=================  ===================================================================================

To add a page: a file in ``pages/`` with a ``router`` whose functions return ``page(request, "x.html",
name=value, …)``, a template ``x.html`` that extends ``base.html``, and the router's name in
``pages.ROUTERS``. What has to be known there:

- ``services(request)`` is a ``Services``: the ``equipment`` (databases, history, settings), the Celery app,
  and ``live``, which has all jobs in memory: ``await services(request).live.fresh()`` is the ``Snapshot`` of
  now: ``snapshot.jobs``, ``snapshot.of_table(name)``; ``snapshot.find(query)`` filters, sorts and
  pages as ``/api/jobs`` does. Whatever asks the database is called through ``run_in_threadpool``.
- ``viewer(request)`` is who looks: ``.name`` is None for somebody unknown on loopback, ``.may_write`` says
  whether buttons are any use, ``.csrf`` is what a script sends as the header ``X-CSRF-Token`` with a ``POST``
  (``base.html`` has it in ``<meta name="csrf">``; ``static/posting.js`` exports ``post(path, body)``).
- ``section="monitoring"`` or ``"nights"`` marks the page's place in the navigation; ``here`` is its address.
- ``parts.html`` has macros for what pages share: status, flags, moments (``<time>``, which ``times.js``
  writes in the viewer's zone), durations, rows, sizes, links, buttons that ask once (``action``).
  ``filters`` makes the addresses: ``{{ table_name | job_url }}``. Colours are the variables of
  ``tokens.css``; a page's own style is a file of its own, linked in ``{% block head %}``.
- Text from the database stands in ``<bdi>``, and where it may be long in an element with ``message``
  (whole) or ``clip`` (one line).
- A page that changes by itself loads ``live.js`` and names a piece of itself, whose elements take the place
  of those with the same ids.
- The content security policy allows nothing inline: no ``style=``, ``onclick=`` or ``<script>`` with text.
  SVG's own attributes (``width``, ``x``, ``fill``) are fine. Data for a script goes into ``data-…``.
- Raise ``HTTPException(404, "There is …")`` or any ``UserError``: shown as a page, below ``/api/`` as JSON.
"""
