"""Ready-made causal models, one idea a file."""

__all__: list[str] = []
