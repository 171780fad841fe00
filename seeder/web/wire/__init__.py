"""The API's values as models, from which its JSON, its OpenAPI document and its TypeScript are made.

Names are the contract's: a column ``duration_seconds`` is ``durationSeconds``. Strict: a number is never
taken from text or from true and false. Moments are ISO 8601 in UTC, with the offset.
"""
