"""Amortized guides: networks that infer exogenous noise and latents from evidence."""

__all__: list[str] = []
