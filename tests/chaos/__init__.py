"""Chaos: workers on a real Kafka are killed, stopped, put to sleep and joined; what they publish must equal a batch recount."""
