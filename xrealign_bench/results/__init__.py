"""What an evaluation leaves behind: results with their complete provenance, read and written as JSON."""
