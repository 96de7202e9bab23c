//! What can be known of an image before it runs: whether its name can be one, and what its registry says about it.

mod client;
mod config;
mod facts;
mod reference;

pub use facts::{ImageFacts, look_up};
pub use reference::ImageReference;
