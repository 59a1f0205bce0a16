"""`connector try`: score an exported list on the spot, say why, and how well the scores separate who bought."""
