//! Configuration. To be built.
