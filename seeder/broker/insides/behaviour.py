"""What other packages do, or don't, that their documentation doesn't promise and seeder builds on.

The names that it builds on are in seeder.broker.insides.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Behaviour:
    """What a package does, or doesn't, without its documentation saying so."""

    package: str
    what: str
    #: The test that fails when it changes.
    held_by: str


BEHAVIOUR = (
    Behaviour(
        "celery",
        "an app's defaults come before what config_from_object has read",
        "tests/broker/test_celery_choices.py::test_what_an_operator_sets_is_what_the_app_runs_with",
    ),
    Behaviour(
        "celery",
        "CELERY_BROKER_URL and its like win over every setting",
        "tests/broker/test_celery_choices.py::test_an_address_that_celery_would_prefer_to_seeders_is_refused",
    ),
    Behaviour(
        "celery",
        "a typed `-P prefork` can't be told from Celery's default",
        "tests/workers/test_pools.py::test_the_pool_is_the_one_that_was_asked_for",
    ),
    Behaviour(
        "celery",
        "without prefetch so many messages are out as the pool says it has places",
        "tests/workers/test_pools.py::test_as_many_messages_are_out_as_there_is_room_for",
    ),
    Behaviour(
        "celery",
        "the next message is taken once the event loop is woken after a task's callback",
        "tests/workers/test_pools.py::test_short_runs_follow_each_other_at_once",
    ),
    Behaviour(
        "celery",
        "SchedulingError is raised within the handler of what it is about",
        "tests/workers/own_redis/test_redis_states.py::test_workers_and_beat_say_it_once_and_go_on",
    ),
    Behaviour(
        "celery",
        "a cold shutdown calls cancel() of each request at work, in the signal's handler, in both pools",
        "tests/workers/test_shutdown.py::test_cold_hands_back_what_runs",
    ),
    Behaviour(
        "kombu",
        "global_keyprefix is put before a script's first key, and before none of HKEYS, ZCARD or MGET",
        "tests/broker/test_delayed.py::test_all_keys_bear_the_prefix_of_a_shared_redis",
    ),
    Behaviour(
        "kombu",
        "whatever it raises of a message it can't read comes out of _brpop_read()",
        "tests/workers/test_poison.py::test_garbage_is_set_aside_and_the_runs_behind_it_run",
    ),
    Behaviour(
        "kombu",
        "of an unacknowledged message nothing but its notes in Redis puts it back after a crash",
        "tests/broker/test_transport.py::test_only_a_message_that_no_record_stands_behind_is_noted",
    ),
    Behaviour(
        "uvicorn",
        "a protocol's methods are called for each piece of a request, whatever is sent",
        "tests/web/test_connections.py::test_a_request_that_does_not_come_ends_its_connection",
    ),
)
