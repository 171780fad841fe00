"""Measures seeder's throughput against a bare loop of refreshes: ``python -m benchmarks``.

The modules' docstrings say what is measured and how.
"""
