"""Names, placeholders, directives, the guard: functions of text that need no database."""
