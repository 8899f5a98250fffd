"""From a plan to SQL text. Names are quoted, values are placeholders, nothing else gets in."""
