"""What is wrong, what the next run would do, what a job is: answered without refreshing anything."""
