"""Pure text in, text out: names, placeholders, the guard. Nothing here talks to a database."""
