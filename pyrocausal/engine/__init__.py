"""How a program is run as structural equations: rows, noise, worlds, abduction."""
