"""Images in other sizes, at a bounded cost."""
