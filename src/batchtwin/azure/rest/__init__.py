"""The REST face that the Azure SDK talks to."""
