"""What studies, benchmarks and the demo are made of; ``tools/`` has their command lines."""
