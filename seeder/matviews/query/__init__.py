"""A manifest's query in PostgreSQL's eyes: what it names, means, may do and costs."""
