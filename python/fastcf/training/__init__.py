"""Training by epochs: the loop, stopping, callbacks, optimisers with their schedules, gradient checks."""
