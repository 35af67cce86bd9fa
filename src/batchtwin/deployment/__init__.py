"""deployment.yml and MLmodel: read, checked and explained."""
