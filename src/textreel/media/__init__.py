"""Files and arrays: decode, sample, resample, write. Never imports torch."""
