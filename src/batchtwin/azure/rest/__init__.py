"""The REST service for the Azure SDK: ARM, run history, tokens."""
