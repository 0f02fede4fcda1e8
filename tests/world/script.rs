//! Scripts for a world.
