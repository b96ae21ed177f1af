"""The estate: its schema, its loader with file:line:col errors, and what `check` finds in it."""
