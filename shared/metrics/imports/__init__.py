"""Files people upload: kept whole, by hash, so that every imported figure can be shown to have been in one."""
