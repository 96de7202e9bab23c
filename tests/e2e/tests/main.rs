//! Scenarios against a real cluster, one file a behaviour, each promise with its negative beside it.

mod asked;
mod certificates;
mod ci_rights;
mod course_manifests;
mod expiry;
mod exposing;
mod exposure_expiry;
mod extending;
mod failures;
mod foreign_objects;
mod gateway_routes;
mod host_conflicts;
mod idempotence;
mod image_to_url;
mod isolated_pods;
mod logins;
mod parity;
mod plain_kubectl;
mod pod_restart;
mod quota;
mod revoking;
mod rights;
mod second_controller;
mod sharing;
mod subjects;
