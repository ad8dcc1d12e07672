//! One side of the store.
