"""Programs that maintain this project, run from a checkout; none of them is installed."""
