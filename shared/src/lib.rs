//! What the plugins share.
