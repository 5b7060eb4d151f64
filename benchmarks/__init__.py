"""What is measured, each a module: ``python -m benchmarks.policies``."""
