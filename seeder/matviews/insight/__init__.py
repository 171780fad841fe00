"""What is shown of a matview to people: its state, who is at it, what it reads."""
