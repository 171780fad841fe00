"""The functions no query may call: the list is held against the servers it was made from."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine

from seeder.sql.denied import is_denied

#: Volatile functions of pg_catalog that only look, or give out random numbers and times.
HARMLESS = set(
    """
    amvalidate array_sample array_shuffle clock_timestamp current_query currtid2 currval gen_random_uuid
    lastval pg_available_wal_summaries pg_blocking_pids pg_collation_actual_version pg_control_checkpoint
    pg_control_init pg_control_recovery pg_control_system pg_current_wal_flush_lsn pg_current_wal_insert_lsn
    pg_current_wal_lsn pg_database_collation_actual_version pg_database_size pg_get_aios
    pg_get_backend_memory_contexts pg_get_loaded_modules pg_get_multixact_members pg_get_sequence_data
    pg_get_shmem_allocations pg_get_shmem_allocations_numa pg_get_wait_events pg_get_wal_replay_pause_state
    pg_get_wal_resource_managers pg_get_wal_summarizer_state pg_indexes_size pg_is_in_recovery
    pg_is_wal_replay_paused pg_jit_available pg_last_committed_xact pg_last_wal_receive_lsn
    pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status pg_notification_queue_usage
    pg_partition_ancestors pg_partition_tree pg_prepared_xact pg_relation_size
    pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_stat_get_backend_io pg_stat_get_backend_wal
    pg_stat_get_io pg_stat_get_recovery_prefetch pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit
    pg_stat_get_xact_function_calls pg_stat_get_xact_function_self_time pg_stat_get_xact_function_total_time
    pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted pg_stat_get_xact_tuples_fetched
    pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_inserted
    pg_stat_get_xact_tuples_newpage_updated pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_updated
    pg_stat_have_stats pg_table_size pg_tablespace_size pg_total_relation_size pg_xact_commit_timestamp
    pg_xact_commit_timestamp_origin pg_xact_status random random_normal setseed timeofday txid_status uuidv4
    uuidv7
    """.split()
)

#: Those a query can call: not the ones that only PostgreSQL's own machinery can.
VOLATILE_OF_PG_CATALOG = """
select distinct proname from pg_proc
where pronamespace = 'pg_catalog'::regnamespace and provolatile = 'v'
  and prorettype not in ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype,
                         'language_handler'::regtype)
  and not 'internal'::regtype = any (proargtypes::oid[])
  and proname <> 'plpgsql_validator'
"""


@pytest.fixture(scope="module", params=["postgres_url", "postgres15_url"], ids=["pg18", "pg15"])
def cursor(request: pytest.FixtureRequest) -> Iterator[Any]:
    engine = create_engine(request.getfixturevalue(request.param), isolation_level="AUTOCOMMIT")
    connection = engine.raw_connection()
    yield connection.cursor()
    connection.close()
    engine.dispose()


def test_every_volatile_function_of_postgresql_was_looked_at(cursor: Any) -> None:
    cursor.execute(VOLATILE_OF_PG_CATALOG)
    volatile = {name for (name,) in cursor.fetchall()}
    assert len(volatile) > 150
    assert {name for name in volatile if not is_denied(name)} <= HARMLESS
    assert not {name for name in HARMLESS if is_denied(name)}


def test_no_operator_leads_to_a_function_that_is_denied(cursor: Any) -> None:
    cursor.execute("select distinct proname from pg_operator join pg_proc on pg_proc.oid = oprcode")
    assert not [name for (name,) in cursor.fetchall() if is_denied(name)]
