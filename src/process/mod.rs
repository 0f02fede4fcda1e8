//! What lies between `exec` and the event loop.
