"""What repeats in the background: lost runs are settled, old ones deleted, the schedule watched."""
