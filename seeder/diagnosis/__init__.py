"""Answers without refreshing anything: what is wrong, what the next run would do, what a job is."""
