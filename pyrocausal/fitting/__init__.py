"""How an SCM comes by its parameters, and keeps them: fit, save, load."""
