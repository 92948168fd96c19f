"""Side-by-side measurements: training speed and memory beside what people would use instead, and start-up time."""
