//! What can be known of an image before it runs: whether its name can be one, and what its registry says about it.

mod config;
pub mod reference;
pub mod registry;

pub use config::{Image, User};
pub use reference::ImageReference;
