//! Wiring. To be built.
