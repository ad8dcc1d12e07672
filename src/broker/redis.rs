//! One side of the broker.
