"""What clients send, as pydantic models."""
