"""A baseline against other configurations, user by user: differences, tests, and what they say."""
