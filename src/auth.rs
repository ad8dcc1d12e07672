//! Who asks: tokens and passwords.
