"""Which packages a deployment requests, and where it finds them."""
