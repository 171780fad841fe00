"""The ticks of the schedule, and what beat sends at each."""
