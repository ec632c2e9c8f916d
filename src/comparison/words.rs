//! The words that every form of a comparison shares, so that a terminal, a pull request and a pipeline say the same.
//!
//! Between a number and its unit is [`GLUE`]; who prints the words as plain text replaces it by a space.

use alumet::text::harmless;
use alumet_statistics::decision::{Decision, Finding, Verdict};

use super::versions::Versions;
use super::{Comparison, Described, Design, Ended, Judged, Row};
use crate::fingerprint::Fingerprint;
use crate::mark::marked;
use crate::quantity::Quantity;
use crate::terminal::shortened;
use crate::units::GLUE;

/// More runs than these are not worth an advice.
const MOST_RUNS: f64 = 200.0;

/// Text of somebody else's on one line of ours: what would end the line, hide or reorder it is replaced.
pub fn plain(text: &str) -> String {
    let spaced = text.replace(['\n', '\r', '\t'], " ");
    harmless(&spaced).into_owned()
}

/// What a sentence calls it: `energy`, `CPU time`.
pub fn noun(quantity: &Quantity) -> String {
    match quantity {
        Quantity::Gpu => "GPU energy".into(),
        Quantity::Cpu => "CPU time".into(),
        other => plain(other.name()),
    }
}

/// The subject of "is higher".
fn subject(quantity: &Quantity) -> String {
    match quantity {
        Quantity::Instructions => "the count of instructions".into(),
        Quantity::Event(name) if !name.ends_with("-clock") => format!("the count of {}", plain(name)),
        other => noun(other),
    }
}

/// `energy and CPU time`.
pub fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A threshold as it was asked for: `2 %`, `0.25 %`.
pub fn threshold(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{}{GLUE}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// As many decimals as the largest of the three numbers needs for two or three digits.
fn decimals(decision: &Decision) -> usize {
    let Decision { change, interval, .. } = decision;
    match 100.0 * change.abs().max(interval.low.abs()).max(interval.high.abs()) {
        p if p >= 99.95 => 0,
        p if p >= 0.5 => 1,
        p if p >= 0.05 => 2,
        _ => 3,
    }
}

/// A share in percent, with its sign unless it is rounded to zero.
fn signed(share: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", 100.0 * share.abs());
    match share {
        _ if text.chars().all(|c| matches!(c, '0' | '.')) => text,
        share if share > 0.0 => format!("+{text}"),
        _ => format!("−{text}"),
    }
}

/// The estimate: `+6.9 %`.
pub fn change(decision: &Decision) -> String {
    format!("{}{GLUE}%", signed(decision.change, decimals(decision)))
}

/// Its interval: `[+5.8, +8.1]`. None that is no likelier to hold the change than not, as of one or two runs.
pub fn interval(decision: &Decision) -> Option<String> {
    let interval = decision.interval;
    let [low, high] = [interval.low, interval.high].map(|share| signed(share, decimals(decision)));
    (interval.level > 0.5).then(|| format!("[{low},{GLUE}{high}]"))
}

/// What heads the changes: with the confidence of their intervals, rounded down, if there are any.
pub fn changes(comparison: &Comparison) -> String {
    let decisions = comparison.rows.iter().filter_map(Row::decision);
    let levels = decisions.filter(|decision| interval(decision).is_some()).map(|it| it.interval.level);
    match levels.reduce(f64::min) {
        Some(level) => format!("change [{:.0}{GLUE}%]", (100.0 * level).floor()),
        None => "change".into(),
    }
}

/// Both, if there are both.
pub fn change_and_interval(decision: &Decision) -> String {
    std::iter::once(change(decision)).chain(interval(decision)).collect::<Vec<_>>().join(" ")
}

/// `p = 0.012`.
fn p_value(p: f64) -> String {
    if p < 0.001 { format!("p{GLUE}<{GLUE}0.001") } else { format!("p{GLUE}={GLUE}{p:.3}") }
}

/// The p-value that the gate's word rests on, or the two that do not suffice.
fn p_of(decision: &Decision, is_guard: bool) -> String {
    match (decision.verdict, decision.finding) {
        (Verdict::Regression, _) if is_guard => p_value(decision.p_over),
        (Verdict::Inconclusive, _) if is_guard => format!("{} of more than that", p_value(decision.p_over)),
        (Verdict::Regression, _) => p_value(decision.p_worse),
        (Verdict::Pass, Finding::Better) => p_value(decision.p_better),
        (Verdict::Pass, _) => p_value(decision.p_not_worse),
        (Verdict::Inconclusive, _) => {
            format!("{} of worse, {} of not worse", p_value(decision.p_worse), p_value(decision.p_not_worse))
        }
    }
}

/// The typical value of one version: `11.3 J`, `~ 96 J` if it is estimated, `at least 96 MB` if it is a bound.
pub fn value(row: &Row, side: &Described) -> String {
    marked(&row.provenance, side.bound, &row.quantity.in_words(side.numbers.median))
}

/// The table's word.
pub fn finding(row: &Row) -> String {
    let decision = match &row.judged {
        Judged::Decision(decision) => decision,
        Judged::NotJudged(why) => return format!("not judged: {}", plain(why)),
    };
    match decision.finding {
        Finding::Worse => "worse".into(),
        Finding::Better => "better".into(),
        Finding::Same => format!("no difference over {}", threshold(decision.threshold)),
        Finding::Unclear if is_not_worse(row, decision) => {
            format!("not worse by {}", threshold(decision.threshold))
        }
        Finding::Unclear => "cannot tell".into(),
    }
}

/// `10 pairs in ABBA order, 1 warm-up each`.
pub fn design(comparison: &Comparison) -> String {
    designed(&comparison.design, comparison.ended)
}

/// The same of any number of versions: of more than two there are `rounds in balanced order`.
pub fn designed(design: &Design, ended: Ended) -> String {
    let of = |n: usize, one: &str, many: &str| format!("{n}{GLUE}{}", if n == 1 { one } else { many });
    let ended = match (ended, design) {
        (Ended::Complete, Design::Interleaved { adaptive: true, .. }) => " (the most that were allowed)",
        (Ended::Complete, _) => "",
        (Ended::Decided, _) => " (no more were needed)",
        (Ended::OutOfTime, _) => " (then the time was up)",
        (Ended::Interrupted, _) => " (then interrupted)",
    };
    match *design {
        Design::Interleaved { versions, pairs, warmups, .. } => {
            let warmups = match warmups {
                0 => "no warm-up".into(),
                n => format!("{} each", of(n, "warm-up", "warm-ups")),
            };
            let rounds = match versions {
                2 => format!("{} in ABBA order", of(pairs, "pair", "pairs")),
                _ => format!("{} in balanced order", of(pairs, "round", "rounds")),
            };
            format!("{rounds}{ended}, {warmups}")
        }
        Design::InBlocks { runs } => format!("{} of each, one after the other", of(runs, "run", "runs")),
        Design::Stored { baseline_runs, runs } => {
            format!("{}{ended} against {} of another session", of(runs, "run", "runs"), baseline_runs)
        }
    }
}

/// What the verdict rests on, and where it comes from: `energy (measured)`.
pub fn deciding(comparison: &Comparison) -> String {
    let rows = comparison.deciding();
    let names: Vec<_> =
        rows.map(|row| format!("{} ({})", noun(&row.quantity), plain(&row.provenance))).collect();
    let is_guard = |row: &&Row| row.guards && row.decision().is_some();
    let guards: Vec<_> = comparison.rows.iter().filter(is_guard).map(|row| noun(&row.quantity)).collect();
    let guards = if guards.is_empty() { String::new() } else { format!(", guarded by {}", listed(&guards)) };
    format!("{}{guards}", listed(&names))
}

/// The test with its p-values: `Wilcoxon signed-rank p = 0.001`.
pub fn test(comparison: &Comparison) -> String {
    let name = match comparison.design {
        Design::Interleaved { .. } => "Wilcoxon signed-rank",
        Design::Stored { .. } | Design::InBlocks { .. } => "Wilcoxon rank-sum",
    };
    let judged: Vec<_> =
        comparison.speaking().filter_map(|row| Some((row, p_of(&row.decision()?, row.guards)))).collect();
    match judged.as_slice() {
        [] => name.into(),
        [(_, p)] => format!("{name} {p}"),
        several => {
            let each: Vec<_> =
                several.iter().map(|(row, p)| format!("{} {p}", noun(&row.quantity))).collect();
            format!("{name} with Holm's correction: {}", each.join("; "))
        }
    }
}

/// The thresholds of what decides: `threshold 2 %`.
pub fn thresholds(comparison: &Comparison) -> String {
    let mut each: Vec<(String, String)> = Vec::new();
    for row in comparison.deciding() {
        if let Some(decision) = row.decision() {
            each.push((noun(&row.quantity), threshold(decision.threshold)));
        }
    }
    match each.as_slice() {
        [] => "no threshold".into(),
        [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => {
            format!("threshold {first}")
        }
        several => {
            let each: Vec<_> = several.iter().map(|(noun, percent)| format!("{noun} {percent}")).collect();
            format!("thresholds {}", each.join(", "))
        }
    }
}

/// `AMD EPYC 9254, Linux 6.8, governor performance`.
pub fn machine(host: &Fingerprint) -> String {
    let cpu = host.cpu_model.clone().unwrap_or_else(|| host.architecture.clone());
    let mut parts = vec![cpu, format!("Linux {}", host.kernel)];
    parts.extend(host.governor.as_ref().map(|governor| format!("governor {governor}")));
    if host.virtualisation != "none" {
        parts.push(host.virtualisation.clone());
    }
    plain(&parts.join(", "))
}

/// Both titles with their beginnings; with their ends where the beginnings are the same; from where they differ on where
/// the ends are, too.
pub fn titles(comparison: &Comparison, room: usize) -> [String; 2] {
    let [a, b] = [&comparison.baseline, &comparison.change];
    let mut both = told_apart(&[a, b], room).into_iter();
    [both.next().unwrap_or_default(), both.next().unwrap_or_default()]
}

/// The names of all versions, likewise. What is called like another one has a number.
pub fn names(versions: &Versions, room: usize) -> Vec<String> {
    let mut names = told_apart(&versions.all.iter().map(|version| &*version.name).collect::<Vec<_>>(), room);
    for at in 1..names.len() {
        let before = names[..at].iter().filter(|name| **name == names[at]).count();
        if before > 0 {
            let number = format!("{GLUE}({})", before + 1);
            names[at] = shortened(&names[at], room.saturating_sub(number.chars().count())) + &number;
        }
    }
    names
}

fn told_apart(titles: &[&str], room: usize) -> Vec<String> {
    let plain: Vec<String> = titles.iter().map(|title| plain(title)).collect();
    let reversed = |text: &str| text.chars().rev().collect::<String>();
    let first = plain.first().map_or("", String::as_str);
    let in_common = |title: &String| first.chars().zip(title.chars()).take_while(|(a, b)| a == b).count();
    let common = plain.iter().skip(1).map(in_common).min().unwrap_or(0);
    let differing = |title: &String| format!("…{}", title.chars().skip(common).collect::<String>());
    let ways: [&dyn Fn(&String) -> String; 3] =
        [&|title| shortened(title, room), &|title| reversed(&shortened(&reversed(title), room)), &|title| {
            shortened(&differing(title), room)
        }];
    let all = ways.map(|way| plain.iter().map(way).collect::<Vec<_>>());
    let are_different = |titles: &&Vec<String>| {
        let same = |at: usize| titles[..at].contains(&titles[at]);
        !(1..titles.len()).any(same)
    };
    all.iter().find(are_different).unwrap_or(&all[0]).clone()
}

/// What a person wants to know, in one line: `./new is 1.40x slower than ./old; same CPU`. Of what was not judged, or
/// cannot be told, it says nothing.
pub fn answer(comparison: &Comparison) -> Option<String> {
    let names = match comparison.baseline == comparison.change {
        true => ["A".to_owned(), "B".to_owned()],
        false => titles(comparison, SUBJECT),
    };
    said(comparison, &names, |_| None)
}

/// The same with intervals, and by these names: `./new is 1.40x slower than ./old [1.38, 1.42]; same CPU`.
pub fn sentence(comparison: &Comparison, names: &[String; 2]) -> Option<String> {
    said(comparison, names, |row| between(&row.quantity, &row.decision()?))
}

fn said(
    comparison: &Comparison,
    [a, b]: &[String; 2],
    interval: impl Fn(&Row) -> Option<String>,
) -> Option<String> {
    let mut said: Vec<(String, Option<String>)> = Vec::new();
    let mut same: Vec<String> = Vec::new();
    // Time first: it is what a person asks for.
    let time_first = |row: &&Row| row.quantity != Quantity::Time;
    let mut rows: Vec<&Row> = comparison.rows.iter().collect();
    rows.sort_by_key(time_first);
    for row in rows {
        let Some(decision) = row.decision() else { continue };
        match decision.finding {
            Finding::Worse | Finding::Better => {
                said.push((by_how_much(&row.quantity, &decision), interval(row)));
            }
            Finding::Same => same.push(short(&row.quantity)),
            Finding::Unclear => {}
        }
    }
    let same = (!same.is_empty()).then(|| format!("same {}", listed(&same)));
    let between =
        |interval: &Option<String>| interval.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
    match (said.split_first(), same) {
        (Some(((first, sure), rest)), same) => {
            let rest = rest
                .iter()
                .map(|(part, sure)| format!("{}{}", part.trim_start_matches("uses "), between(sure)));
            let more: String = rest.chain(same).map(|part| format!("; {part}")).collect();
            Some(format!("{b} {first} than {a}{}{more}", between(sure)))
        }
        (None, Some(same)) => Some(format!("{b} against {a}: {same}")),
        (None, None) => None,
    }
}

/// Longer titles are cut in a sentence.
const SUBJECT: usize = 40;

/// A ratio as a factor above 1, or as a share where two decimals would not show it: `1.40x`, `0.7 %`.
fn times(ratio: f64) -> String {
    match ratio {
        r if r < 1.02 => format!("{:.1}{GLUE}%", 100.0 * (r - 1.0)),
        r if r < 9.995 => format!("{r:.2}x"),
        r if r < 99.95 => format!("{r:.1}x"),
        r => format!("{r:.0}x"),
    }
}

/// `is 1.40x slower`, `uses 6.9 % more energy`.
fn by_how_much(quantity: &Quantity, decision: &Decision) -> String {
    let ratio = 1.0 + decision.change;
    match (quantity, ratio > 1.0) {
        (Quantity::Time, true) => format!("is {} slower", times(ratio)),
        (Quantity::Time, false) => format!("is {} faster", times(1.0 / ratio)),
        (quantity, _) => {
            let way = if ratio > 1.0 { "more" } else { "less" };
            let by = format!("{:.*}{GLUE}%", decimals(decision), 100.0 * decision.change.abs());
            format!("uses {by} {way} {}", short(quantity))
        }
    }
}

/// The interval of that, in the same terms: of a time as factors, `[1.38, 1.42]`, else in percent, `[+5.8, +8.1 %]`.
fn between(quantity: &Quantity, decision: &Decision) -> Option<String> {
    let by_change = interval(decision)?;
    let ratio = 1.0 + decision.change;
    let factor = if ratio > 1.0 { ratio } else { 1.0 / ratio };
    if *quantity != Quantity::Time || factor < 1.02 {
        return Some(format!("{}{GLUE}%]", by_change.trim_end_matches(']')));
    }
    let [low, high] = [decision.interval.low, decision.interval.high].map(|change| 1.0 + change);
    let [low, high] = if ratio > 1.0 { [low, high] } else { [1.0 / high, 1.0 / low] };
    Some(format!("[{low:.2},{GLUE}{high:.2}]"))
}

/// What a person's table says beside a value: `1.40x slower`, `1.07x worse`, `no difference`. Nothing of what was not
/// judged.
pub fn difference(row: &Row) -> Option<String> {
    let decision = row.decision()?;
    let ratio = 1.0 + decision.change;
    let (worse, better) =
        if row.quantity == Quantity::Time { ("slower", "faster") } else { ("worse", "better") };
    Some(match decision.finding {
        Finding::Worse => format!("{} {worse}", times(ratio)),
        Finding::Better => format!("{} {better}", times(1.0 / ratio)),
        Finding::Same => "no difference".into(),
        Finding::Unclear if is_not_worse(row, &decision) => "not worse".into(),
        Finding::Unclear => format!("unclear ({ratio:.2}x)"),
    })
}

/// Whether more than the threshold is ruled out. A guard passes without that.
fn is_not_worse(row: &Row, decision: &Decision) -> bool {
    let is_ruled_out = decision.interval.level > 0.5 && decision.interval.high <= decision.threshold;
    decision.verdict == Verdict::Pass && (!row.guards || is_ruled_out)
}

/// `CPU`, `memory`.
fn short(quantity: &Quantity) -> String {
    match quantity {
        Quantity::Cpu => "CPU".into(),
        other => noun(other),
    }
}

/// The gate's word.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Regression => "REGRESSION",
        Verdict::Inconclusive => "INCONCLUSIVE",
    }
}

/// Why the gate says so, naming the metrics that matter, and what to do where it cannot tell. Without the gate's word.
pub fn because(comparison: &Comparison) -> String {
    if let Some(interrupted) = interrupted(comparison) {
        return interrupted;
    }
    let reasons: Vec<_> = comparison
        .speaking()
        .filter(|row| row.verdict() == comparison.verdict)
        .map(|row| reason(comparison, row))
        .collect();
    let advice = match comparison.verdict {
        Verdict::Inconclusive => advice(comparison),
        Verdict::Pass | Verdict::Regression => None,
    };
    let parts: Vec<_> = reasons.into_iter().chain(advice).collect();
    if parts.is_empty() { "nothing was judged".into() } else { parts.join("; ") }
}

/// What there is to say where somebody has interrupted: of no row anything else.
fn interrupted(comparison: &Comparison) -> Option<String> {
    (comparison.ended == Ended::Interrupted)
        .then(|| format!("interrupted after {}, which is no verdict", comparison.design))
}

/// Why the gate says of this row what it says.
pub fn reason(comparison: &Comparison, row: &Row) -> String {
    if let Some(interrupted) = interrupted(comparison) {
        return interrupted;
    }
    let what = subject(&row.quantity);
    let decision = match &row.judged {
        Judged::Decision(decision) => decision,
        Judged::NotJudged(why) if row.guards => {
            let others: Vec<_> = comparison.deciding().map(|row| plain(row.quantity.name())).collect();
            return format!(
                "{what} stands no guard: {}; compare anew, or --gate {} does without it",
                plain(why),
                others.join(",")
            );
        }
        Judged::NotJudged(why) => return format!("{what} cannot decide: {}; compare anew", plain(why)),
    };
    let allowed = threshold(decision.threshold);
    let by = format!("{:.*}{GLUE}%", decimals(decision), 100.0 * decision.change.abs());
    let p = p_of(decision, row.guards);
    match (decision.verdict, decision.finding) {
        (Verdict::Regression, _) if row.guards => {
            format!("{what} is {by} higher, beyond doubt more than the {allowed} allowed ({p})")
        }
        (Verdict::Inconclusive, _) if row.guards => {
            let change = change_and_interval(decision);
            format!("{what} changed by {change}, which is more than {allowed}, but not beyond doubt ({p})")
        }
        (Verdict::Pass, _) if row.guards => format!("{what} is not shown to be more than {allowed} higher"),
        (Verdict::Regression, _) => {
            format!("{what} is {by} higher, more than the {allowed} allowed ({p})")
        }
        (Verdict::Pass, Finding::Better) => format!("{what} is {by} lower ({p})"),
        (Verdict::Pass, _) => format!("{what} is not more than {allowed} higher ({p})"),
        (Verdict::Inconclusive, _) => {
            let change = change_and_interval(decision);
            format!("{what} changed by {change}, which neither shows nor excludes more than {allowed}")
        }
    }
}

/// What would lead to a verdict.
pub fn advice(comparison: &Comparison) -> Option<String> {
    if comparison.ended == Ended::Interrupted {
        return None;
    }
    let unclear: Vec<(Decision, bool)> = comparison
        .speaking()
        .filter_map(|row| Some((row.decision()?, row.guards)))
        .filter(|(decision, _)| decision.verdict == Verdict::Inconclusive)
        .collect();
    let runs = unclear.iter().flat_map(|(decision, _)| decision.runs).min()?;
    let what = match comparison.design {
        Design::Interleaved { .. } => "pairs",
        Design::Stored { .. } if comparison.needed.is_some() => "runs",
        Design::Stored { .. } | Design::InBlocks { .. } => "runs of each",
    };
    if let Some(needed) = comparison.needed {
        return Some(format!("at least {needed}{GLUE}{what} are needed"));
    }
    let needed = unclear
        .iter()
        .map(|(decision, is_guard)| needed(decision, *is_guard))
        .fold(0.0, f64::max)
        .max(1.2 * runs as f64);
    Some(if needed > MOST_RUNS {
        format!(
            "that is too near the threshold for a few more {what}: a quieter machine or another threshold would tell"
        )
    } else {
        let step = if needed <= 20.0 { 1.0 } else { 5.0 };
        let needed = (needed / step).ceil() * step;
        format!("about {needed}{GLUE}{what}, a quieter machine or a wider threshold would tell")
    })
}

/// How many runs would tell in four of five cases if the change is as estimated: an interval shrinks with the root of
/// their number, and must exclude no change at all if the estimate is above the threshold, or the threshold if it is
/// below. 2.3 = ((1.645 + .842) / 1.645)²: a one-sided 5 % and a power of 80 %, against the half of a 90 % interval.
///
/// A guard must exclude the threshold with a tenth of the error: 4.3 = ((2.576 + .842) / 1.645)².
fn needed(decision: &Decision, is_guard: bool) -> f64 {
    let [change, low, high, margin] =
        [decision.change, decision.interval.low, decision.interval.high, decision.threshold].map(f64::ln_1p);
    let (factor, half, distance) = match change > margin {
        true if is_guard => (4.3, change - low, change - margin),
        true => (2.3, change - low, change),
        false => (2.3, high - change, margin - change),
    };
    let runs = decision.runs.iter().copied().min().unwrap_or_default();
    let needed = factor * runs as f64 * (half / distance).powi(2);
    if needed.is_finite() { needed } else { f64::INFINITY }
}

/// These places of runs, counted from 1, and of many the first.
pub fn numbers(places: impl ExactSizeIterator<Item = usize>) -> String {
    let more = if places.len() > 5 { ", ..." } else { "" };
    let first: Vec<_> = places.take(5).map(|place| (place + 1).to_string()).collect();
    format!("{}{more}", first.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{comparison, decision, row, several, slower, unguarded, worse};
    use super::*;

    fn words(text: String) -> String {
        text.replace(GLUE, " ")
    }

    #[test]
    fn a_change_has_a_real_sign_and_as_many_digits_as_its_interval_needs() {
        let of = |change_, low, high| words(change_and_interval(&decision(change_, low, high)));
        assert_eq!(of(0.069, 0.058, 0.081), "+6.9 % [+5.8, +8.1]");
        assert_eq!(of(-0.005, -0.009, 0.001), "−0.5 % [−0.9, +0.1]");
        assert_eq!(of(0.0002, -0.0001, 0.0004), "+0.020 % [−0.010, +0.040]");
        assert_eq!(of(1.204, 0.9, 1.5), "+120 % [+90, +150]");
        assert_eq!(of(0.0, -0.000_001, 0.02), "0.0 % [0.0, +2.0]");
        let mut single = decision(0.069, 0.069, 0.069);
        single.interval.level = 0.0;
        assert_eq!(words(change_and_interval(&single)), "+6.9 %");
    }

    #[test]
    fn thresholds_are_written_as_they_were_asked_for_and_small_p_values_as_bounds() {
        let texts = [0.02, 0.025, 0.0025, 0.05, 0.1, 0.0, 1.0].map(threshold).map(words);
        assert_eq!(texts, ["2 %", "2.5 %", "0.25 %", "5 %", "10 %", "0 %", "100 %"]);
        let texts = [0.0005, 0.001, 0.0494, 0.5, 1.0].map(p_value).map(words);
        assert_eq!(texts, ["p < 0.001", "p = 0.001", "p = 0.049", "p = 0.500", "p = 1.000"]);
    }

    #[test]
    fn every_verdict_says_why() {
        let says = |verdict| words(because(&comparison(verdict)));
        assert_eq!(
            says(Verdict::Regression),
            "energy is 6.9 % higher, more than the 2 % allowed (p = 0.001)"
        );
        assert_eq!(says(Verdict::Pass), "energy is not more than 2 % higher (p = 0.003)");
        assert_eq!(
            says(Verdict::Inconclusive),
            "energy changed by +0.9 % [−1.1, +2.9], which neither shows nor excludes more than 2 %; about 80 pairs, a \
             quieter machine or a wider threshold would tell"
        );
    }

    #[test]
    fn a_guard_speaks_if_it_is_worse_beyond_doubt_or_with_doubt_and_else_only_in_the_headline() {
        let slower = |p| words(because(&slower(p)));
        assert_eq!(
            slower(0.002),
            "time is 40.0 % higher, beyond doubt more than the 2 % allowed (p = 0.002)"
        );
        assert_eq!(
            slower(0.08),
            "time changed by +40.0 % [+31.0, +51.0], which is more than 2 %, but not beyond doubt (p = 0.080 of more than \
             that); about 12 pairs, a quieter machine or a wider threshold would tell"
        );
        let mut quiet = comparison(Verdict::Pass);
        quiet.rows[1].guards = true;
        assert_eq!(words(deciding(&quiet)), "energy (attributed), guarded by time");
        assert_eq!(words(because(&quiet)), "energy is not more than 2 % higher (p = 0.003)");
    }

    #[test]
    fn a_guard_that_cannot_stand_says_why_and_what_to_do() {
        let unguarded = unguarded();
        assert_eq!(
            words(because(&unguarded)),
            "time stands no guard: it is at most so much in 6 of 10 pairs, and too few are left: alumet was stopped; \
             compare anew, or --gate energy does without it"
        );
        assert_eq!(words(deciding(&unguarded)), "energy (attributed)");
        let mut decides = unguarded;
        decides.rows.remove(0);
        decides.rows[0].guards = false;
        decides.rows[0].decides = true;
        assert!(
            because(&decides).starts_with("time cannot decide: it is at most so much in 6"),
            "{}",
            because(&decides)
        );
        assert!(decides.is_void());
    }

    #[test]
    fn the_answer_says_how_much_slower_what_is_the_same_and_nothing_of_what_cannot_be_told() {
        let answer = |comparison: &Comparison| answer(comparison).map(words);
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(answer(&slower(0.002)), said("./new --fast is 1.40x slower than ./old --fast; same CPU"));
        let regression = comparison(Verdict::Regression);
        assert_eq!(
            answer(&regression),
            said("./new --fast uses 6.9 % more energy than ./old --fast; same time")
        );
        let same = comparison(Verdict::Pass);
        assert_eq!(answer(&same), said("./new --fast against ./old --fast: same time and energy"));
        let mut faster = slower(0.002);
        let better = Decision { finding: Finding::Better, ..decision(-0.2, -0.21, -0.19) };
        faster.rows[0].judged = Judged::Decision(better);
        faster.rows[1].judged = Judged::Decision(worse());
        faster.change.clone_from(&faster.baseline);
        assert_eq!(answer(&faster), said("B is 1.25x faster than A; 6.9 % more CPU"));
        let mut open = comparison(Verdict::Inconclusive);
        open.rows.truncate(1);
        assert_eq!(answer(&open), None);
    }

    #[test]
    fn a_number_keeps_what_is_to_be_known_of_it() {
        use alumet::Bound;
        let shown = |provenance: &str, bound| {
            let mut row = row(Quantity::Memory, Judged::NotJudged("why".into()));
            row.provenance = provenance.into();
            row.change.bound = bound;
            words(value(&row, &row.change))
        };
        assert_eq!(shown("measured", Some(Bound::Exact)), "184 MB");
        assert_eq!(shown("measured", Some(Bound::AtLeast)), "at least 184 MB");
        assert_eq!(shown("measured", Some(Bound::AtMost)), "at most 184 MB");
        assert_eq!(shown("measured", None), "about 184 MB");
        assert_eq!(shown("estimated", Some(Bound::Exact)), "~ 184 MB");
    }

    #[test]
    fn titles_that_begin_alike_are_told_apart_by_their_ends() {
        let both = ["/build/one/app", "/build/two/app"];
        assert_eq!(told_apart(&both, 8), ["…one/app", "…two/app"]);
        assert_eq!(told_apart(&both, 14), both);
        // Or by where they differ, if that is in the middle.
        let middle = ["/build/x/one/release/app", "/build/x/two/release/app"];
        assert_eq!(told_apart(&middle, 9), ["…one/rel…", "…two/rel…"]);
        assert_eq!(told_apart(&["/build/app", "/build/app"], 6), ["/buil…", "/buil…"]);
    }

    #[test]
    fn an_improvement_is_named() {
        let mut better = comparison(Verdict::Pass);
        let improved = Decision {
            finding: Finding::Better,
            p_better: 0.002,
            verdict: Verdict::Pass,
            ..decision(-0.051, -0.06, -0.04)
        };
        better.rows[0].judged = Judged::Decision(improved);
        assert_eq!(words(because(&better)), "energy is 5.1 % lower (p = 0.002)");
    }

    #[test]
    fn of_several_metrics_those_that_matter_are_named() {
        let several = several();
        assert_eq!(
            words(because(&several)),
            "energy is 6.9 % higher, more than the 2 % allowed (p = 0.001)",
            "CPU time passes"
        );
        assert_eq!(words(deciding(&several)), "energy (attributed) and CPU time (measured)");
        assert_eq!(words(thresholds(&several)), "thresholds energy 2 %, CPU time 5 %");
        assert_eq!(
            words(test(&several)),
            "Wilcoxon signed-rank with Holm's correction: energy p = 0.001; CPU time p = 0.003"
        );
    }

    #[test]
    fn the_advice_knows_the_least_number_of_pairs_and_what_no_number_of_pairs_tells() {
        let advised = |decision| {
            let mut unclear = comparison(Verdict::Inconclusive);
            unclear.rows[0].judged = Judged::Decision(decision);
            words(advice(&unclear).unwrap())
        };
        let few = Comparison { needed: Some(11), ..comparison(Verdict::Inconclusive) };
        assert_eq!(words(advice(&few).unwrap()), "at least 11 pairs are needed");
        assert_eq!(
            advised(decision(0.0201, -0.03, 0.06)),
            "about 150 pairs, a quieter machine or a wider threshold would tell"
        );
        for near in [decision(0.0199, 0.0, 0.04), decision(0.02, 0.0, 0.04)] {
            assert!(advised(near).starts_with("that is too near the threshold"), "{near:?}");
        }
        // Significant by itself, but not among several.
        assert!(advised(decision(0.1, 0.08, 0.12)).starts_with("about 12 pairs"));
        assert_eq!(advice(&comparison(Verdict::Pass)), None);
    }

    #[test]
    fn the_word_of_a_row_is_its_finding_or_why_it_has_none() {
        let word = |finding_, verdict| {
            let decision = Decision { finding: finding_, verdict, ..decision(0.0, -0.01, 0.01) };
            words(finding(&row(Quantity::Energy, Judged::Decision(decision))))
        };
        assert_eq!(word(Finding::Worse, Verdict::Regression), "worse");
        assert_eq!(word(Finding::Better, Verdict::Pass), "better");
        assert_eq!(word(Finding::Same, Verdict::Pass), "no difference over 2 %");
        assert_eq!(word(Finding::Unclear, Verdict::Pass), "not worse by 2 %");
        assert_eq!(word(Finding::Unclear, Verdict::Inconclusive), "cannot tell");
        let estimated = row(Quantity::Energy, Judged::NotJudged("it is\nestimated".into()));
        assert_eq!(finding(&estimated), "not judged: it is estimated");
    }

    #[test]
    fn the_design_is_said_in_one_line() {
        let of = |design_, verdict| words(design(&Comparison { design: design_, ..comparison(verdict) }));
        let interleaved =
            |pairs, warmups, adaptive| Design::Interleaved { versions: 2, pairs, warmups, adaptive };
        assert_eq!(of(interleaved(10, 1, false), Verdict::Pass), "10 pairs in ABBA order, 1 warm-up each");
        assert_eq!(of(interleaved(1, 0, false), Verdict::Inconclusive), "1 pair in ABBA order, no warm-up");
        let ended = |ended| {
            let design_ = interleaved(8, 2, true);
            words(design(&Comparison { design: design_, ended, ..comparison(Verdict::Regression) }))
        };
        assert_eq!(ended(Ended::Decided), "8 pairs in ABBA order (no more were needed), 2 warm-ups each");
        assert_eq!(ended(Ended::OutOfTime), "8 pairs in ABBA order (then the time was up), 2 warm-ups each");
        assert_eq!(ended(Ended::Interrupted), "8 pairs in ABBA order (then interrupted), 2 warm-ups each");
        assert_eq!(
            of(interleaved(40, 2, true), Verdict::Inconclusive),
            "40 pairs in ABBA order (the most that were allowed), 2 warm-ups each"
        );
        let stored = Design::Stored { baseline_runs: 20, runs: 10 };
        assert_eq!(of(stored, Verdict::Pass), "10 runs against 20 of another session");
    }

    #[test]
    fn nobody_elses_text_ends_hides_or_reorders_a_line() {
        assert_eq!(plain("a\nb\tc\u{1b}[2J\u{202e}d"), "a b c\u{fffd}[2J\u{fffd}d");
    }

    #[test]
    fn nothing_judged_is_said_and_no_panic() {
        let empty = Comparison { rows: Vec::new(), ..comparison(Verdict::Inconclusive) };
        assert_eq!(because(&empty), "nothing was judged");
        assert_eq!((deciding(&empty).as_str(), thresholds(&empty).as_str()), ("nothing", "no threshold"));
    }

    #[test]
    fn a_guard_that_may_be_worse_is_not_called_not_worse_though_it_passes() {
        let guard = |high: f64| Row {
            guards: true,
            ..row(
                Quantity::Time,
                Judged::Decision(Decision { verdict: Verdict::Pass, ..decision(-0.05, -0.2, high) }),
            )
        };
        assert_eq!(
            (&*finding(&guard(0.3)), &*difference(&guard(0.3)).unwrap()),
            ("cannot tell", "unclear (0.95x)")
        );
        let sure = guard(0.01);
        assert_eq!(
            (&*finding(&sure).replace(GLUE, " "), &*difference(&sure).unwrap()),
            ("not worse by 2 %", "not worse")
        );
    }

    #[test]
    fn a_factor_is_always_above_one_and_its_interval_in_the_same_terms() {
        let of = |quantity: Quantity, change: f64, low: f64, high: f64| {
            let finding = if change > 0.0 { Finding::Worse } else { Finding::Better };
            let row = row(quantity, Judged::Decision(Decision { finding, ..decision(change, low, high) }));
            let comparison = Comparison { rows: vec![row], ..comparison(Verdict::Regression) };
            let names = ["a".to_owned(), "b".to_owned()];
            (
                difference(&comparison.rows[0]).unwrap(),
                sentence(&comparison, &names).unwrap().replace(GLUE, " "),
            )
        };
        let slower = of(Quantity::Time, 0.4, 0.38, 0.42);
        assert_eq!((&*slower.0, &*slower.1), ("1.40x slower", "b is 1.40x slower than a [1.38, 1.42]"));
        let faster = of(Quantity::Time, -0.5, -0.52, -0.48);
        assert_eq!((&*faster.0, &*faster.1), ("2.00x faster", "b is 2.00x faster than a [1.92, 2.08]"));
        let many = of(Quantity::Time, 11.0, 10.5, 11.5);
        assert_eq!(many.0, "12.0x slower");
        let better = of(Quantity::Energy, -0.2, -0.25, -0.15);
        assert_eq!(
            (&*better.0, &*better.1),
            ("1.25x better", "b uses 20.0 % less energy than a [−25.0, −15.0 %]")
        );
        let little = of(Quantity::Instructions, 0.007, 0.006, 0.008);
        assert_eq!(little.0.replace(GLUE, " "), "0.7 % worse");
    }
}
