"""Where state lives: the folder, the daemon's lock, and requests for a flush."""
