//! The numbers in the text format of OpenMetrics 1.0, as GitLab's metrics report and Prometheus read it.
//!
//! Families are gauges named after the quantity and its unit, with the label `version`: `baseline` or `change`. GitLab
//! splits a line as a shell would and takes `#` for the start of a comment even within quotes, so no label has one.

use alumet::Bound;

use super::{Comparison, Judged, Row, words};
use crate::quantity::Quantity;
use crate::statistics::decision::Verdict;

/// The text.
pub fn render(comparison: &Comparison) -> String {
    let mut families: Vec<Family> = Vec::new();
    for row in &comparison.rows {
        for family in of_row(comparison, row) {
            // Two events may have the same name here; a family must be in one piece.
            match families.iter_mut().find(|known| known.name == family.name) {
                Some(known) => known.samples.extend(family.samples),
                None => families.push(family),
            }
        }
    }
    families.push(verdict(comparison));
    families.iter().map(Family::text).chain(["# EOF\n".to_owned()]).collect()
}

struct Family {
    name: String,
    /// The last part of the name, if it has a unit.
    unit: &'static str,
    help: String,
    /// Labels and values.
    samples: Vec<(String, f64)>,
}

impl Family {
    fn text(&self) -> String {
        let Self { name, unit, help, samples } = self;
        let mut text = format!("# TYPE {name} gauge\n");
        if !unit.is_empty() {
            text.push_str(&format!("# UNIT {name} {unit}\n"));
        }
        text.push_str(&format!("# HELP {name} {}\n", escaped(help)));
        for (labels, value) in samples {
            text.push_str(&format!("{name}{{{labels}}} {value}\n"));
        }
        text
    }
}

/// The two means, and their ratio where it was judged.
fn of_row(comparison: &Comparison, row: &Row) -> Vec<Family> {
    let (base, unit) = named(&row.quantity);
    let event = match &row.quantity {
        Quantity::Event(name) => labels(&[("event", name)]) + ",",
        _ => String::new(),
    };
    let provenance = labels(&[("provenance", &row.provenance)]);
    let sides =
        [("baseline", &comparison.baseline, &row.baseline), ("change", &comparison.change, &row.change)];
    let samples = sides.map(|(version, title, side)| {
        let bound = match side.bound {
            Some(Bound::Exact) => String::new(),
            Some(bound) => format!(",{}", labels(&[("bound", bound.as_str())])),
            None => format!(",{}", labels(&[("bound", "neither")])),
        };
        let unjudged = match &row.judged {
            Judged::NotJudged(why) => format!(",{}", labels(&[("not_judged", why)])),
            Judged::Decision(_) => String::new(),
        };
        let labels = labels(&[("version", version), ("command", title)]);
        (format!("{event}{labels},{provenance}{bound}{unjudged}"), side.numbers.mean)
    });
    let name =
        |parts: &[&str]| parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("_");
    let noun = words::noun(&row.quantity);
    let means = Family {
        name: name(&["alumet", &base, unit]),
        unit,
        help: format!("{noun}, mean of the runs of a version."),
        samples: samples.into(),
    };
    let ratio = row.decision().map(|decision| {
        let labels = labels(&[("command", &comparison.change)]);
        Family {
            name: name(&["alumet", &base, "change", "ratio"]),
            unit: "ratio",
            help: format!("{noun}, change over baseline; 1 is no change."),
            samples: vec![(format!("{event}{labels},{provenance}"), 1.0 + decision.change)],
        }
    });
    std::iter::once(means).chain(ratio).collect()
}

/// A number for each verdict, so that a change of it shows: 0 pass, 1 inconclusive, 2 regression.
fn verdict(comparison: &Comparison) -> Family {
    let value = match comparison.verdict {
        Verdict::Pass => 0.0,
        Verdict::Inconclusive => 1.0,
        Verdict::Regression => 2.0,
    };
    Family {
        name: "alumet_verdict".into(),
        unit: "",
        help: "0 pass, 1 inconclusive, 2 regression.".into(),
        samples: vec![(labels(&[("command", &comparison.change)]), value)],
    }
}

/// The quantity's part of a name, and its unit. Events have a prefix of their own, lest one is called like a quantity.
fn named(quantity: &Quantity) -> (String, &'static str) {
    let unit = match quantity {
        Quantity::Energy | Quantity::Gpu => "joules",
        Quantity::Time | Quantity::Cpu => "seconds",
        Quantity::Memory => "bytes",
        Quantity::Event(name) if name.ends_with("-clock") => "seconds",
        Quantity::Carbon => "grams",
        Quantity::Instructions | Quantity::Cost | Quantity::Event(_) => "",
    };
    let name = match quantity {
        Quantity::Gpu => "gpu_energy".into(),
        Quantity::Cpu => "cpu_time".into(),
        Quantity::Event(name) => {
            let valid = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
            format!("event_{}", name.chars().map(valid).collect::<String>())
        }
        other => other.name().to_owned(),
    };
    (name, unit)
}

fn labels(labels: &[(&str, &str)]) -> String {
    let label = |(name, value): &(&str, &str)| {
        format!("{name}=\"{}\"", escaped(&words::plain(value)).replace('"', "\\\"").replace('#', "_"))
    };
    labels.iter().map(label).collect::<Vec<_>>().join(",")
}

/// The escapes of a help text; a label's value has that of the quotation mark as well.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{HOSTILE, bounded, comparison, row, unclear};
    use super::*;

    #[test]
    fn a_bound_and_why_nothing_is_judged_are_labels() {
        let text = render(&bounded());
        let why = "not_judged=\"it is at least so much: between two samples nobody sees it\"";
        for (version, bound) in [("baseline", "at least"), ("change", "at most")] {
            let line =
                text.lines().find(|line| line.contains("memory_bytes{") && line.contains(version)).unwrap();
            assert!(line.contains(&format!("bound=\"{bound}\"")) && line.contains(why), "{line}");
        }
        assert_eq!(text.matches("not_judged").count(), 2);
    }

    #[test]
    fn every_quantity_is_a_family_with_both_versions_and_the_ratio() {
        let mut one = comparison(Verdict::Regression);
        one.rows.truncate(1);
        (one.rows[0].baseline.numbers.mean, one.rows[0].change.numbers.mean) = (11.3, 12.1);
        let expected = r##"# TYPE alumet_energy_joules gauge
# UNIT alumet_energy_joules joules
# HELP alumet_energy_joules energy, mean of the runs of a version.
alumet_energy_joules{version="baseline",command="./old --fast",provenance="attributed"} 11.3
alumet_energy_joules{version="change",command="./new --fast",provenance="attributed"} 12.1
# TYPE alumet_energy_change_ratio gauge
# UNIT alumet_energy_change_ratio ratio
# HELP alumet_energy_change_ratio energy, change over baseline; 1 is no change.
alumet_energy_change_ratio{command="./new --fast",provenance="attributed"} 1.069
# TYPE alumet_verdict gauge
# HELP alumet_verdict 0 pass, 1 inconclusive, 2 regression.
alumet_verdict{command="./new --fast"} 2
# EOF
"##;
        assert_eq!(render(&one), expected);
    }

    #[test]
    fn names_are_valid_and_events_that_end_up_alike_share_a_family_in_one_piece() {
        let event = |name: &str| row(Quantity::Event(name.into()), Judged::Decision(unclear()));
        let mut events = comparison(Verdict::Pass);
        events.rows = vec![
            event("cache-misses"),
            event("cpu/event=0x3C/"),
            event("cache:misses"),
            event("task-clock"),
            event("energy"),
        ];
        let text = render(&events);
        let families: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(
            families,
            [
                "alumet_event_cache_misses gauge",
                "alumet_event_cache_misses_change_ratio gauge",
                "alumet_event_cpu_event_0x3c_ gauge",
                "alumet_event_cpu_event_0x3c__change_ratio gauge",
                "alumet_event_task_clock_seconds gauge",
                "alumet_event_task_clock_change_ratio gauge",
                "alumet_event_energy gauge",
                "alumet_event_energy_change_ratio gauge",
                "alumet_verdict gauge",
            ]
        );
        assert_eq!(text.matches("\nalumet_event_cache_misses{event=\"cache").count(), 4, "{text}");
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let mut unique = samples.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), samples.len(), "{text}");
    }

    #[test]
    fn what_was_not_judged_has_means_and_no_ratio() {
        let text = render(&comparison(Verdict::Pass));
        assert!(text.contains("alumet_memory_bytes{version=\"change\""), "{text}");
        assert!(!text.contains("alumet_memory_change_ratio"), "{text}");
        let empty = render(&Comparison { rows: Vec::new(), ..comparison(Verdict::Inconclusive) });
        assert!(
            empty.starts_with("# TYPE alumet_verdict gauge\n") && empty.ends_with(" 1\n# EOF\n"),
            "{empty}"
        );
    }

    #[test]
    fn a_hostile_title_stays_within_its_quotes() {
        let mut hostile = comparison(Verdict::Pass);
        hostile.rows.clear();
        hostile.change = format!("{HOSTILE} \\");
        let line = r#"alumet_verdict{command="sh -c '<b>|`x` ::error::�[31m]]>&\"%,*_@me _1�' \\"} 0"#;
        assert!(render(&hostile).ends_with(&format!("\n{line}\n# EOF\n")), "{}", render(&hostile));
    }
}
