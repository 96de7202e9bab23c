//! Every way to reach a cluster that people have, with kubectl and with ours: what works with one has to work with the other.
//!
//! Both columns are asserted, so a change of either is noticed. What is special in a variant comes from a report of somebody or
//! from client-go's own code; the table is printed at the end.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness that fails is a failed test"
)]

mod attempt;
mod certificates;
mod ground;
mod relay;
mod table;
mod variant;

mod base64_data;
mod client_certificates;
mod empties;
mod encodings;
mod environment_proxies;
mod flags;
mod key_formats;
mod nobody;
mod oidc;
mod other_flags;
mod plugin_credentials;
mod plugin_policies;
mod plugins;
mod pods;
mod proxy_urls;
mod server_names;
mod servers;
mod several_files;
mod tokens;
mod trust;
mod unused_entries;

use std::collections::{BTreeMap, BTreeSet};

use e2e::Stage;
use ground::Ground;
use table::Row;
use variant::{Does, Variant};

/// The part of the titles of the variants to run, when not all are wanted: `COMMONS_PARITY=K8`.
const CHOICE: &str = "COMMONS_PARITY";

/// All variants, by area.
fn variants() -> Vec<Variant> {
    [
        base64_data::variants(),
        several_files::variants(),
        unused_entries::variants(),
        client_certificates::variants(),
        key_formats::variants(),
        empties::variants(),
        servers::variants(),
        proxy_urls::variants(),
        environment_proxies::variants(),
        server_names::variants(),
        plugins::variants(),
        plugin_credentials::variants(),
        plugin_policies::variants(),
        nobody::variants(),
        tokens::variants(),
        pods::variants(),
        trust::variants(),
        flags::variants(),
        other_flags::variants(),
        encodings::variants(),
        oidc::variants(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn enough_ways_are_tried() {
    let all = variants();
    let mut cases: BTreeMap<&str, usize> = BTreeMap::new();
    for variant in &all {
        *cases.entry(variant.case).or_default() += 1;
        let differ = variant.kubectl != variant.ours;
        assert_eq!(differ, variant.exception.is_some(), "{}", variant.title());
    }
    for (case, count) in cases {
        assert!(count >= 5, "{case} has {count} variants only");
    }
    let titles: BTreeSet<String> = all.iter().map(Variant::title).collect();
    assert_eq!(titles.len(), all.len(), "two variants have the same name");
    let works = all.iter().filter(|variant| variant.kubectl == Does::Works);
    assert!(works.count() >= 70, "kubectl works in too few");
}

#[test]
fn ours_reaches_the_cluster_wherever_kubectl_does() {
    let mut stage = Stage::new();
    let ground = Ground::new(&mut stage);
    let only = std::env::var(CHOICE).unwrap_or_default();
    let mut chosen = variants();
    chosen.retain(|variant| variant.title().contains(&only));
    let rows = table::rows(&ground, chosen);
    let text = table::text(&rows);
    let wrong: Vec<String> = rows.iter().filter_map(Row::fault).collect();
    assert!(
        wrong.is_empty(),
        "{text}\n{} of {} are not as they should be:\n\n{}",
        wrong.len(),
        rows.len(),
        wrong.join("\n")
    );
    table::print(&text);
}
