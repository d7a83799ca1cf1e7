"""Runs ranked in tables: those of a sweep, those below any folder, and hybrids against their encoders alone."""
