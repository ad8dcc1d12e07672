//! What only Redis can do to its broker: break, and stand somewhere else.

mod faults;
mod forms;
