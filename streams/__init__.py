"""From events to readings: the pure core, and the shell that connects it to Kafka, files and people."""
