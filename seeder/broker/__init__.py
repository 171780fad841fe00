"""Messages over Redis, and everything that touches the insides of Celery and kombu."""
