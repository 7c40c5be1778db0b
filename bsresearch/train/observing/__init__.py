"""What is seen of a group while it trains: records, evaluations, measurements, divergence."""
