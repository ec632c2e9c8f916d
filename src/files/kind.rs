//! The kinds of files that alumet writes, each of which begins in its own way: only a file of the same kind is written over.

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Series,
    Profile,
    Comparison,
    /// Markdown.
    Table,
    /// The same as CSV.
    Rows,
    /// JUnit XML.
    Verdict,
    /// OpenMetrics.
    Metrics,
    Idle,
    /// What the application writes: that may be anything.
    AppOutput,
}

/// Stands first in each table. It is not seen where Markdown is shown.
pub const TABLE: &str = "<!-- alumet -->\n";

impl Kind {
    /// What a sentence calls it.
    pub fn what(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Profile => "the profile",
            Self::Comparison => "the comparison",
            Self::Table | Self::Rows => "the table",
            Self::Verdict => "the verdict",
            Self::Metrics => "the metrics",
            Self::Idle => "the idle profile",
            Self::AppOutput => "the application's output",
        }
    }

    /// Whether it is written whole when the run is over, and one of an earlier run must not be taken for it until then.
    pub fn is_document(self) -> bool {
        !matches!(self, Self::Series | Self::AppOutput)
    }

    /// Whether a file that begins like this is of this kind, as this version or an earlier one writes it; or empty.
    pub fn is_of(self, beginning: &[u8]) -> bool {
        let begins = |start: &str| beginning.starts_with(start.as_bytes());
        match self {
            _ if beginning.is_empty() => true,
            Self::Series => alumet_plugin_csv::row::is_series(beginning),
            Self::Profile => is_json_of("alumet.profile/", beginning),
            Self::Comparison => is_json_of("alumet.comparison/", beginning),
            Self::Idle => is_json_of("alumet.idle/", beginning),
            // Those of the first version have no mark of their own.
            Self::Table => {
                [TABLE, "**PASS**: ", "**REGRESSION**: ", "**INCONCLUSIVE**: "].into_iter().any(begins)
            }
            Self::Rows => begins("version,command,"),
            Self::Verdict => {
                begins("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"alumet\"")
            }
            Self::Metrics => begins("# TYPE alumet_"),
            Self::AppOutput => true,
        }
    }
}

/// A document, or a list of such, which begins with its schema. White space does not count: it may have been formatted.
fn is_json_of(schema: &str, beginning: &[u8]) -> bool {
    let text: Vec<u8> = beginning.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let document = text.strip_prefix(b"[").unwrap_or(&text);
    document.strip_prefix(b"{\"schema\":\"").is_some_and(|rest| rest.starts_with(schema.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 9] = [
        Kind::Series,
        Kind::Profile,
        Kind::Comparison,
        Kind::Table,
        Kind::Rows,
        Kind::Verdict,
        Kind::Metrics,
        Kind::Idle,
        Kind::AppOutput,
    ];

    #[test]
    fn each_file_is_of_one_kind_and_those_of_others_are_of_none() {
        let of = |text: &str| ALL.into_iter().filter(|kind| kind.is_of(text.as_bytes())).collect::<Vec<_>>();
        for (text, kind) in [
            ("time_s,timestamp,metric,unit,value,provenance,resource\n", Kind::Series),
            ("{\n  \"schema\": \"alumet.profile/1\",\n", Kind::Profile),
            ("{\"schema\":\"alumet.profile/1\",", Kind::Profile),
            ("[\n  {\n    \"schema\": \"alumet.comparison/1\",\n", Kind::Comparison),
            ("{\n  \"schema\": \"alumet.idle/1\",\n", Kind::Idle),
            ("**REGRESSION**: energy is", Kind::Table),
            ("<!-- alumet -->\n", Kind::Table),
            ("version,command,parameter_n,metric,unit\n", Kind::Rows),
            (
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"alumet\" tests=\"1\"",
                Kind::Verdict,
            ),
            ("# TYPE alumet_energy_joules gauge\n", Kind::Metrics),
        ] {
            assert_eq!(of(text), [kind, Kind::AppOutput], "{text}");
        }
        for text in ["\x7fELF", "#!/bin/sh\n", "{}", "{\"schema\": \"other\"}", "time,value\n", "precious"] {
            assert_eq!(of(text), [Kind::AppOutput], "{text}");
        }
        assert_eq!(of(""), ALL);
    }
}
