"""Measures seeder's throughput against a bare loop of refreshes: ``python -m benchmarks``.

docs/performance.md says what is measured and how, and what came out.
"""
