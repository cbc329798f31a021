"""The pure core: everything that decides, without Kafka, Faust, clock, log or file."""
