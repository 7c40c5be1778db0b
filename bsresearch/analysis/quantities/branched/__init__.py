"""What branches with k times the batch tell (studies/critical_batch_size.py): losses → rates → tolerance → B*."""
