//! The numbers in the text format of OpenMetrics 1.0, as GitLab's metrics report and Prometheus read it.
//!
//! Families are gauges named after the quantity and its unit, with the label `version`: `baseline` or `change`. GitLab
//! splits a line as a shell would and takes `#` for the start of a comment even within quotes, so no label has one.

use alumet::Bound;
use alumet_statistics::decision::Verdict;

use super::versions::{Version, Versions};
use super::{Judged, Row, words};
use crate::quantity::Quantity;

/// The text.
pub fn render(versions: &Versions) -> String {
    let mut families: Vec<Family> = Vec::new();
    let mut add = |family: Family| match families.iter_mut().find(|known| known.name == family.name) {
        // Two events may have the same name here, and each version has its own numbers; a family must be in one piece.
        Some(known) => known.samples.extend(family.samples),
        None => families.push(family),
    };
    for quantity in versions.quantities() {
        versions.all.iter().enumerate().for_each(|(place, _)| {
            means(versions, place, quantity).into_iter().for_each(&mut add);
        });
        for (comparison, version) in versions.comparisons.iter().zip(&versions.all[1..]) {
            let row = comparison.rows.iter().find(|row| row.quantity == *quantity);
            row.and_then(|row| ratio(version, row)).into_iter().for_each(&mut add);
        }
    }
    if versions.verdict.is_some() {
        let judged = versions.comparisons.iter().zip(&versions.all[1..]);
        judged.map(|(comparison, version)| verdict(comparison.verdict, version)).for_each(&mut add);
    }
    families.iter().map(Family::text).chain(["# EOF\n".to_owned()]).collect()
}

/// What a version is called by the others: `baseline`, `change`, and of more `change 2`.
fn role(place: usize) -> String {
    match place {
        0 => "baseline".into(),
        1 => "change".into(),
        more => format!("change {more}"),
    }
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

fn joined(parts: &[&str]) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("_")
}

/// The labels of a version.
fn of_version(version: &Version) -> String {
    let name = (version.name != version.command).then(|| format!(",{}", labels(&[("name", &version.name)])));
    let parameters = version
        .parameters
        .iter()
        .map(|(name, value)| format!(",{}", labels(&[(&format!("parameter_{}", valid(name)), value)])));
    labels(&[("command", &version.command)]) + &name.into_iter().chain(parameters).collect::<String>()
}

/// The label of an event, whose name is not wholly in that of the family.
fn event(quantity: &Quantity) -> String {
    match quantity {
        Quantity::Event(name) => labels(&[("event", name)]) + ",",
        _ => String::new(),
    }
}

/// The mean of a version.
fn means(versions: &Versions, place: usize, quantity: &Quantity) -> Option<Family> {
    let version = &versions.all[place];
    let known = version.quantity(quantity)?;
    // What was compared may be fewer runs than there are.
    let comparison = versions.comparisons.get(place.saturating_sub(1));
    let row = comparison.and_then(|one| one.rows.iter().find(|row| row.quantity == *quantity));
    let described = row.map_or(&known.described, |row| if place == 0 { &row.baseline } else { &row.change });
    let (base, unit) = named(quantity);
    let bound = match described.bound {
        Some(Bound::Exact) => String::new(),
        Some(bound) => format!(",{}", labels(&[("bound", bound.as_str())])),
        None => format!(",{}", labels(&[("bound", "neither")])),
    };
    let unjudged = match row.map(|row| &row.judged) {
        Some(Judged::NotJudged(why)) => format!(",{}", labels(&[("not_judged", why)])),
        _ => String::new(),
    };
    let provenance = row.map_or(&known.provenance, |row| &row.provenance);
    let (role, provenance) = (labels(&[("version", &role(place))]), labels(&[("provenance", provenance)]));
    let sample = format!("{}{role},{},{provenance}{bound}{unjudged}", event(quantity), of_version(version));
    Some(Family {
        name: joined(&["alumet", &base, unit]),
        unit,
        help: format!("{}, mean of the runs of a version.", words::noun(quantity)),
        samples: vec![(sample, described.numbers.mean)],
    })
}

/// The ratio of a version to the first, where it was judged.
fn ratio(version: &Version, row: &Row) -> Option<Family> {
    let decision = row.decision()?;
    let labels = format!("{},{}", of_version(version), labels(&[("provenance", &row.provenance)]));
    Some(Family {
        name: joined(&["alumet", &named(&row.quantity).0, "change", "ratio"]),
        unit: "ratio",
        help: format!("{}, change over baseline; 1 is no change.", words::noun(&row.quantity)),
        samples: vec![(format!("{}{labels}", event(&row.quantity)), 1.0 + decision.change)],
    })
}

/// A number for each verdict, so that a change of it shows: 0 pass, 1 inconclusive, 2 regression.
fn verdict(verdict: Verdict, version: &Version) -> Family {
    let value = match verdict {
        Verdict::Pass => 0.0,
        Verdict::Inconclusive => 1.0,
        Verdict::Regression => 2.0,
    };
    Family {
        name: "alumet_verdict".into(),
        unit: "",
        help: "0 pass, 1 inconclusive, 2 regression.".into(),
        samples: vec![(of_version(version), value)],
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
        Quantity::Event(name) => format!("event_{}", valid(name)),
        other => other.name().to_owned(),
    };
    (name, unit)
}

/// A name of which no reader of the format takes offence.
fn valid(name: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.chars().map(valid).collect()
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
    use super::super::samples::{HOSTILE, bounded, comparison, row, three, unclear, versions};
    use super::*;
    use crate::comparison::Comparison;

    fn metrics(comparison: &Comparison) -> String {
        render(&versions(vec![comparison.clone()]))
    }

    #[test]
    fn a_bound_and_why_nothing_is_judged_are_labels() {
        let text = metrics(&bounded());
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
        assert_eq!(metrics(&one), expected);
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
        let text = metrics(&events);
        let families: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(
            families,
            [
                "alumet_event_cache_misses gauge",
                "alumet_event_cache_misses_change_ratio gauge",
                "alumet_event_cpu_event_0x3c_ gauge",
                "alumet_event_cpu_event_0x3c__change_ratio gauge",
                "alumet_event_energy gauge",
                "alumet_event_energy_change_ratio gauge",
                "alumet_event_task_clock_seconds gauge",
                "alumet_event_task_clock_change_ratio gauge",
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
        let text = metrics(&comparison(Verdict::Pass));
        assert!(text.contains("alumet_memory_bytes{version=\"change\""), "{text}");
        assert!(!text.contains("alumet_memory_change_ratio"), "{text}");
        let empty = metrics(&Comparison { rows: Vec::new(), ..comparison(Verdict::Inconclusive) });
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
        assert!(metrics(&hostile).ends_with(&format!("\n{line}\n# EOF\n")), "{}", metrics(&hostile));
    }

    #[test]
    fn each_of_several_versions_has_its_own_labels_and_a_family_is_in_one_piece() {
        let mut several = three();
        several.all[2].name = "n = 2".into();
        several.all[2].parameters.insert("n-x".into(), "2".into());
        let text = render(&several);
        assert_eq!(text.matches("# TYPE alumet_time_seconds gauge").count(), 1, "{text}");
        for version in [
            "version=\"baseline\",command=\"old\"",
            "version=\"change\",command=\"new\"",
            "version=\"change 2\",command=\"beta\",name=\"n = 2\",parameter_n_x=\"2\"",
        ] {
            assert!(text.contains(&format!("alumet_time_seconds{{{version},")), "{version}: {text}");
        }
        assert!(text.contains("alumet_verdict{command=\"new\"} 2\n"), "{text}");
        assert!(
            text.contains("alumet_time_change_ratio{command=\"beta\",name=\"n = 2\",parameter_n_x=\"2\","),
            "{text}"
        );
        // Of what nobody judged there is no verdict.
        let unjudged = Versions { verdict: None, ..three() };
        assert!(!render(&unjudged).contains("alumet_verdict"));
    }
}
