"""Unit tests: one behaviour each, no broker, no clock."""
