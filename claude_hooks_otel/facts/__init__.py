"""Facts: what happened. Each fact has a natural key, so duplicated, late and reordered events still make one fact."""
