"""The workspace's database: its address and transactions, its tables, and how rows become entities."""
