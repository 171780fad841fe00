"""An operator's own Celery settings: what stands here wins over seeder's (seeder/app.py says what and why;
docs/configuration.md has the few that can't be changed).

Read from the working directory, as Celery does. Worth a thought here:

worker_concurrency   refreshes at a time in one worker; each takes a connection to its database
worker_pool          "prefork" gives each refresh a process of its own, as `-P prefork` does for one worker;
                     seeder's default is threads (docs/performance.md compares the two)
"""
