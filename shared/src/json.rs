//! Objects as JSON values and back, through text.
//!
//! serde makes code for each pair of a type and a format, and a Deployment has a thousand fields: reading it from a
//! [`Value`] besides reading it from text would add a fifth to a plugin's size. What is converted here is small and rare.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An object as a value.
///
/// # Errors
/// When its fields cannot be JSON, such as a map whose keys are no text.
pub fn to_value<T: Serialize + ?Sized>(object: &T) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&serde_json::to_string(object)?)
}

/// A value as an object.
///
/// # Errors
/// When it lacks a field that the object has to have, or has one of another kind.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    serde_json::from_str(&serde_json::to_string(value)?)
}
