"""What floorpulse speaks: events, readings, indicators, configuration, errors."""
