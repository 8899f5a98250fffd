"""What `make bench` can measure: one module each, with `run(console, options)`."""
