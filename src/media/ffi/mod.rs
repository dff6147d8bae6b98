//! The fence: the only `unsafe`.
