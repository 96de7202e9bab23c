//! `expose-app`: an address made, proven, listed and closed; and what may be in its way.

mod given;
mod hostile;
mod made;
pub mod proven;
mod refused;
