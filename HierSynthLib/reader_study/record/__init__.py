"""The record of a study: an SQLite file with every answer and a hash-chained log of every event."""
