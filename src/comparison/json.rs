//! The comparison for programs: one JSON document. Its schema is `docs/src/comparison.schema.json`.

use std::io;

use serde::Serialize;

use super::versions::Versions;

/// The name of the format. The first had one comparison, or a list of them, without the versions by themselves.
pub const SCHEMA: &str = "alumet.comparison/2";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    /// The version that writes it.
    alumet: &'static str,
    #[serde(flatten)]
    versions: &'a Versions,
}

/// The document.
pub fn render(versions: &Versions) -> io::Result<Vec<u8>> {
    let document = Document { schema: SCHEMA, alumet: env!("CARGO_PKG_VERSION"), versions };
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples::{HOSTILE, bounded, comparison, several, three, unguarded, versions};
    use super::super::{Comparison, Design, Ended};
    use super::*;
    use alumet_statistics::decision::Verdict;

    fn whole(versions: &Versions) -> Value {
        let text = render(versions).unwrap();
        assert!(text.ends_with(b"}\n"));
        serde_json::from_slice(&text).unwrap()
    }

    fn document(comparison: &Comparison) -> Value {
        whole(&versions(vec![comparison.clone()]))
    }

    fn verdicts() -> [Comparison; 3] {
        [Verdict::Pass, Verdict::Regression, Verdict::Inconclusive].map(comparison)
    }

    fn complaints(document: &Value) -> Vec<String> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/comparison.schema.json");
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(jsonschema::meta::validate(&schema).err().map(|error| error.to_string()), None);
        let validator = jsonschema::validator_for(&schema).unwrap();
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    #[test]
    fn every_comparison_is_valid_by_the_schema() {
        let mut hostile = several();
        (hostile.baseline, hostile.change) = (HOSTILE.into(), HOSTILE.into());
        hostile.design = Design::Stored { baseline_runs: 20, runs: 10 };
        hostile.host.governor = None;
        hostile.needed = Some(7);
        hostile.ended = Ended::Interrupted;
        let empty = Comparison { rows: Vec::new(), ..comparison(Verdict::Inconclusive) };
        for comparison in verdicts().iter().chain([&hostile, &empty]) {
            assert_eq!(complaints(&document(comparison)), [""; 0], "{comparison:?}");
        }
        assert_eq!(document(&hostile)["comparisons"][0]["change"], HOSTILE);
        assert_eq!(document(&hostile)["versions"][1]["name"], HOSTILE);
    }

    #[test]
    fn of_three_versions_there_are_two_comparisons_and_the_worst_verdict() {
        let mut three = three();
        three.all[0].parameters.insert("n".into(), "1".into());
        let all = whole(&three);
        assert_eq!(complaints(&all), [""; 0]);
        assert_eq!(
            (all["versions"].as_array().unwrap().len(), all["comparisons"].as_array().unwrap().len()),
            (3, 2)
        );
        assert_eq!(
            (&all["verdict"], &all["comparisons"][1]["change"]),
            (&json!("regression"), &json!("beta"))
        );
        assert_eq!(all["versions"][0]["parameters"], json!({"n": "1"}));
        let one = Versions { verdict: None, comparisons: Vec::new(), ..three };
        assert_eq!(complaints(&whole(&one)), [""; 0]);
    }

    #[test]
    fn names_and_numbers_are_where_the_schema_says() {
        let document = document(&comparison(Verdict::Regression));
        assert_eq!(
            (&document["schema"], &document["alumet"]),
            (&json!(SCHEMA), &json!(env!("CARGO_PKG_VERSION")))
        );
        let one = &document["comparisons"][0];
        assert_eq!((&one["verdict"], &document["verdict"]), (&json!("regression"), &json!("regression")));
        assert_eq!(
            one["design"],
            json!({"kind": "interleaved", "versions": 2, "pairs": 10, "warmups": 1, "adaptive": false})
        );
        let version = &document["versions"][1]["quantities"][0];
        assert_eq!((&version["metric"], &version["median"]), (&json!("energy"), &json!(12.1)));
        let row = &one["rows"][0];
        assert_eq!((&row["metric"], &row["decides"]), (&json!("energy"), &json!(true)));
        assert_eq!(row["decision"]["change"], json!(0.069));
        assert_eq!(one["rows"][2]["not_judged"], "some runs lack it");
    }

    #[test]
    fn a_bound_is_told_of_either_version_and_valid() {
        let document = document(&bounded());
        assert_eq!(complaints(&document), [""; 0]);
        let memory = &document["comparisons"][0]["rows"][2];
        assert_eq!(
            (&memory["baseline"]["bound"], &memory["change"]["bound"]),
            (&json!("at_least"), &json!("at_most"))
        );
        assert_eq!(
            document["comparisons"][0]["rows"][0]["baseline"].get("bound"),
            None,
            "what is exact says nothing"
        );
        let mut neither = bounded();
        neither.rows[2].change.bound = None;
        assert_eq!(complaints(&self::document(&neither)), [""; 0]);
        assert_eq!(self::document(&neither)["comparisons"][0]["rows"][2]["change"]["bound"], Value::Null);
    }

    #[test]
    fn a_guard_that_is_not_judged_is_told_and_valid() {
        let document = document(&unguarded());
        assert_eq!(complaints(&document), [""; 0]);
        let time = &document["comparisons"][0]["rows"][1];
        assert_eq!((&time["guards"], &document["verdict"]), (&json!(true), &json!("inconclusive")));
        assert!(time["not_judged"].is_string() && time.get("decision").is_none());
    }

    #[test]
    fn the_schema_refuses_what_no_comparison_may_be() {
        let whole = document(&comparison(Verdict::Regression));
        let changed = |pointer: &str, value: Value| {
            let mut document = whole.clone();
            *document.pointer_mut(pointer).unwrap() = value;
            complaints(&document).len()
        };
        for (pointer, value) in [
            ("/schema", json!("alumet.comparison/1")),
            ("/verdict", json!("maybe")),
            ("/versions/0/name", json!(1)),
            ("/versions/1/quantities/0/n", json!(0)),
            ("/comparisons/0/design/kind", json!("stored")),
            ("/comparisons/0/rows/0/provenance", json!("guessed")),
            ("/comparisons/0/rows/0/decision/p_worse", json!(1.5)),
            ("/comparisons/0/rows/0/decision/change", json!(-1.5)),
            ("/comparisons/0/rows/0/decision/interval/low", Value::Null),
            ("/comparisons/0/rows/0/baseline/n", json!(0)),
            ("/comparisons/0/rows/2/not_judged", json!("")),
        ] {
            assert!(changed(pointer, value) > 0, "{pointer}");
        }
        let mut both = whole.clone();
        both["comparisons"][0]["rows"][0]["not_judged"] = json!("why");
        assert!(!complaints(&both).is_empty());
        let mut unknown = whole.clone();
        unknown["surprise"] = json!(1);
        assert!(!complaints(&unknown).is_empty());
    }
}
