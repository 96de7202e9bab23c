//! `deploy-app`: from an image to an app that runs; and why it does not.

mod exposed;
pub mod failing;
mod files;
mod given;
mod made;
mod refused;

/// The image that the platform's registry has.
const IMAGE: &str = "registry.example.test/shop/web:1";

/// The usual command.
const WEB: [&str; 5] = ["web", "--image", IMAGE, "--port", "8000"];

/// The usual command and more.
pub fn web<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&WEB, more].concat()
}
