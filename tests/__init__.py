"""Tests of floorpulse."""
