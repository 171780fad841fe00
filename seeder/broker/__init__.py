"""Redis as seeder finds it, and what Celery and kombu make of that."""
