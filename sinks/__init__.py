"""What is done with readings: merged, shown, served; imports only `schemas`."""
