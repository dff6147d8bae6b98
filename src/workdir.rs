//! One scratch folder per job; sweep; disk budget. To be built.
