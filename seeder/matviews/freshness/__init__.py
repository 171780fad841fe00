"""Whether what a matview reads has changed since its rows were made, proved or not called unchanged.

Nothing is written to the sources, and nothing is installed in their database: the proof is made of what
PostgreSQL keeps anyway. docs/night.md says what it rests on, docs/decisions/unchanged.md why it holds.
"""
