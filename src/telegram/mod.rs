//! The only module that knows teloxide. To be built.
