"""The wall-screen's page: plain files, no build step, nothing from elsewhere."""
