//! Carries one job down the line. To be built.
