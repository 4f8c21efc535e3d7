"""What every trainer shares: splits by patient, intervals, calibration."""
