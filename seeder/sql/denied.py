"""Functions that a manifest's query may not call, although PostgreSQL allows them in a SELECT.

They write, reach outside the database, run SQL given as text, hold locks, or stop other sessions. Listed are
all volatile functions in pg_catalog of PostgreSQL 15 to 18 that do any of that (a test compares the list with
the server it runs on, so that a new version's functions can't be missed), the few that do so without being
volatile, and the extensions dblink and adminpack. Volatile functions in other schemas are found in the
catalogue (seeder/matviews/query/functions.py).
"""

_FILES = """
    pg_current_logfile pg_file_length pg_file_read pg_file_rename pg_file_sync pg_file_unlink pg_file_write
    pg_hba_file_rules pg_ident_file_mappings pg_logdir_ls pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir
    pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir pg_ls_summariesdir pg_ls_tmpdir pg_ls_waldir
    pg_read_binary_file pg_read_file pg_read_file_old pg_show_all_file_settings pg_stat_file
"""
_LARGE_OBJECTS = """
    lo_close lo_creat lo_create lo_export lo_from_bytea lo_get lo_import lo_lseek lo_lseek64 lo_open lo_put
    lo_tell lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite
"""
_SQL_AS_TEXT = """
    cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema database_to_xmlschema
    query_to_xml query_to_xml_and_xmlschema query_to_xmlschema schema_to_xml schema_to_xml_and_xmlschema
    schema_to_xmlschema table_to_xml table_to_xml_and_xmlschema table_to_xmlschema ts_rewrite ts_stat
"""
_WAITING_AND_LOCKS = """
    pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all
    pg_advisory_unlock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared
    pg_isolation_test_session_is_blocked pg_sleep pg_sleep_for pg_sleep_until pg_try_advisory_lock
    pg_try_advisory_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
"""
_SESSION_AND_SEQUENCES = """
    nextval pg_current_xact_id pg_export_snapshot pg_nextoid pg_notify set_config setval txid_current
"""
_OTHER_SESSIONS = """
    pg_cancel_backend pg_log_backend_memory_contexts pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old
    pg_terminate_backend
"""
_REPLICATION_AND_WAL = """
    pg_backup_start pg_backup_stop pg_copy_logical_replication_slot pg_copy_physical_replication_slot
    pg_create_logical_replication_slot pg_create_physical_replication_slot pg_create_restore_point
    pg_drop_replication_slot pg_log_standby_snapshot pg_logical_emit_message
    pg_logical_slot_get_binary_changes pg_logical_slot_get_changes pg_logical_slot_peek_binary_changes
    pg_logical_slot_peek_changes pg_promote pg_replication_origin_advance pg_replication_origin_create
    pg_replication_origin_drop pg_replication_origin_progress pg_replication_origin_session_is_setup
    pg_replication_origin_session_progress pg_replication_origin_session_reset
    pg_replication_origin_session_setup pg_replication_origin_xact_reset pg_replication_origin_xact_setup
    pg_replication_slot_advance pg_show_replication_origin_status pg_switch_wal pg_sync_replication_slots
    pg_wal_replay_pause pg_wal_replay_resume pg_wal_summary_contents
"""
_MAINTENANCE = """
    brin_desummarize_range brin_summarize_new_values brin_summarize_range gin_clean_pending_list
    pg_clear_attribute_stats pg_clear_relation_stats pg_extension_config_dump pg_import_system_collations
    pg_restore_attribute_stats pg_restore_relation_stats pg_stat_clear_snapshot pg_stat_force_next_flush
    pg_stat_reset pg_stat_reset_backend_stats pg_stat_reset_replication_slot pg_stat_reset_shared
    pg_stat_reset_single_function_counters pg_stat_reset_single_table_counters pg_stat_reset_slru
    pg_stat_reset_subscription_stats pg_stop_making_pinned_objects
"""

_DENIED = frozenset(
    (
        _FILES
        + _LARGE_OBJECTS
        + _SQL_AS_TEXT
        + _WAITING_AND_LOCKS
        + _SESSION_AND_SEQUENCES
        + _OTHER_SESSIONS
        + _REPLICATION_AND_WAL
        + _MAINTENANCE
    ).split()
)
#: Whole families: the functions of dblink, and those only pg_upgrade calls.
_DENIED_PREFIXES = ("dblink", "binary_upgrade_")


def is_denied(function: str) -> bool:
    """May no query call a function of this name? Whatever its schema: an extension can be in any."""
    return function in _DENIED or function.startswith(_DENIED_PREFIXES)
