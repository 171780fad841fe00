"""Background duties: settle lost runs, delete old ones, check that the schedule is kept."""
