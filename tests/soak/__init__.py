"""The soak: hours of steady load on a real Kafka; nothing may grow."""
