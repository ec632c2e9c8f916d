//! The one list of built-in plugins.

use std::cmp::Reverse;

use alumet::PluginEntry;
use alumet_plugin_attribution::Attribute;
use alumet_plugin_csv::Csv;
use alumet_plugin_estimate::Estimation;
use alumet_plugin_hwmon::Hwmon;
use alumet_plugin_nvml::Nvml;
use alumet_plugin_perf::Perf;
use alumet_plugin_procfs::Procfs;
use alumet_plugin_rapl::Rapl;

/// In the order in which they are started and listed: the estimate looks whether anything measures, and what it adds is attributed. Outputs come last: what was asked for in vain leaves no file behind.
pub const ALL: [PluginEntry; 8] = [
    PluginEntry::of::<Procfs>(),
    PluginEntry::of::<Perf>(),
    PluginEntry::of::<Rapl>(),
    PluginEntry::of::<Hwmon>(),
    PluginEntry::of::<Nvml>(),
    PluginEntry::of::<Estimation>(),
    PluginEntry::of::<Attribute>(),
    PluginEntry::of::<Csv>(),
];

/// The plugin of this name.
pub fn find(name: &str) -> Option<&'static PluginEntry> {
    ALL.iter().find(|plugin| plugin.name == name)
}

/// `did you mean ...?` with the candidate nearest to what was typed, if one is near; of several, the one that begins alike.
pub fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    candidates
        .into_iter()
        .map(|candidate| {
            let alike = typed.bytes().zip(candidate.bytes()).take_while(|(a, b)| a == b).count();
            (strsim::damerau_levenshtein(typed, candidate), Reverse(alike), candidate)
        })
        .filter(|(distance, _, candidate)| *distance <= 1 + candidate.len() / 3)
        .min()
        .map(|(.., candidate)| format!("; did you mean `{candidate}`?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_the_nearest_and_of_those_the_one_that_begins_alike() {
        let near = |typed, candidates: &[&'static str]| did_you_mean(typed, candidates.iter().copied());
        assert_eq!(near("--versio", &["--verbose", "--version"]), "; did you mean `--version`?");
        assert_eq!(near("--pric", &["--print", "--price"]), "; did you mean `--price`?");
        // Both are two letters away.
        assert_eq!(near("boot", &["foo", "bool", "body"]), "; did you mean `bool`?");
        assert_eq!(near("rate", &["late", "rata"]), "; did you mean `rata`?");
        assert_eq!(near("--bogus", &["--verbose", "--version"]), "");
    }
}
