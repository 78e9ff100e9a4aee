"""Where feedback is kept, and what it adds up to."""
