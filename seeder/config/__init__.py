"""Settings as one table, the types that read them, and URLs whose passwords nobody sees."""
