"""Changes as they happen: one look for all viewers, sent as events, never waiting for long."""
