//! A point as a row of text.
//!
//! Everything about a series is rendered once, when its first point is met; then a row is two copies, a number and a
//! time. All points of one poll have the same time, which is rendered once too.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use alumet::text::{harmless, is_harmless};
use alumet::{Batch, Point, Series, SeriesId, Time};

/// The columns; new ones come last, for those who count them. `time_s`: seconds since the start mark. `timestamp`: RFC 3339, UTC, nanoseconds.
pub const HEADER: &str =
    "time_s,timestamp,metric,unit,value,provenance,resource,resource_id,consumer,consumer_id,labels,kind\n";

/// Whether a file that begins like this holds series, of this version or an earlier one; or nothing yet.
pub fn is_series(beginning: &[u8]) -> bool {
    const FIRST_COLUMNS: &[u8] = b"time_s,timestamp,metric,unit,";
    // A run that was killed, or a full disk, may have cut it anywhere.
    beginning.starts_with(FIRST_COLUMNS) || FIRST_COLUMNS.starts_with(beginning)
}

/// Renders rows.
#[derive(Debug, Default)]
pub struct Rows {
    has_header: bool,
    series: Vec<Option<Rendered>>,
    time: Option<Time>,
    /// `time_s,timestamp` of `time`.
    rendered_time: String,
}

/// The text before and after the value.
#[derive(Debug)]
struct Rendered {
    before: Box<[u8]>,
    after: Box<[u8]>,
}

impl Rows {
    /// Adds the header if it was not added yet.
    pub fn header(&mut self, out: &mut Vec<u8>) {
        if !self.has_header {
            out.extend_from_slice(HEADER.as_bytes());
            self.has_header = true;
        }
    }

    /// Adds the row of one point (and the header before the first one).
    pub fn push(&mut self, batch: &Batch, point: &Point, out: &mut Vec<u8>) {
        self.header(out);
        if self.time != Some(point.time) {
            self.render_time(batch, point.time);
        }
        let index = point.series.index();
        if index >= self.series.len() {
            self.series.resize_with(index + 1, || None);
        }
        let rendered = self.series[index].get_or_insert_with(|| Rendered::of(&batch.series(point.series)));
        out.extend_from_slice(self.rendered_time.as_bytes());
        out.extend_from_slice(&rendered.before);
        value(point.value, out);
        out.extend_from_slice(&rendered.after);
    }

    /// The series has ended; its number may mean another one from now on.
    pub fn forget(&mut self, series: SeriesId) {
        if let Some(rendered) = self.series.get_mut(series.index()) {
            *rendered = None;
        }
    }

    fn render_time(&mut self, batch: &Batch, time: Time) {
        let nanos = batch.nanos(time);
        let unix = batch.unix_nanos(time);
        let wall = humantime::format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(unix));
        self.rendered_time.clear();
        // Writing to a string does not fail.
        let _ = write!(self.rendered_time, "{}.{:09},{wall}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        self.time = Some(time);
    }
}

/// The shortest text that reads back as the same value. Whole numbers have no point.
fn value(value: f64, out: &mut Vec<u8>) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.trunc() == value && value.abs() <= EXACT {
        // Writing to a vector does not fail.
        let _ = write!(out, "{}", value as i64);
    } else if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        let _ = write!(out, "{value}");
    }
}

impl Rendered {
    fn of(series: &Series) -> Self {
        let id = series.consumer.id().map(|id| id.to_string()).unwrap_or_default();
        let mut labels = String::new();
        for (key, value) in &series.labels {
            if !labels.is_empty() {
                labels.push(';');
            }
            escape_label(key, &mut labels);
            labels.push('=');
            escape_label(value, &mut labels);
        }
        let before = cells(&[&series.metric.name, &series.metric.unit]);
        let after = cells(&[
            series.provenance.as_str(),
            &series.resource.kind,
            &series.resource.id,
            series.consumer.kind(),
            &id,
            &labels,
            series.metric.kind.as_str(),
        ]);
        Self { before: [b",", &*before, b","].concat().into(), after: [b",", &*after, b"\n"].concat().into() }
    }
}

/// `\`, `;` and `=` in a key or value are escaped by `\`, a newline is `\n`, a carriage return `\r`; what else is not
/// harmless is replaced.
fn escape_label(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' | ';' | '=' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if is_harmless(c) => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
}

/// A text that does nothing to whoever opens the file: without control characters, and with a `'` before what a spreadsheet
/// would run as a formula (OWASP, CSV injection).
pub fn guarded(text: &str) -> Cow<'_, str> {
    let text = harmless(text);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}").into() } else { text }
}

/// Quotes where CSV needs it (RFC 4180), and guards against formulas.
fn cells(texts: &[&str]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    for text in texts {
        writer.write_field(guarded(text).as_bytes()).expect("a vector takes everything");
    }
    // Ends the record: the line's newline is cut off again, the caller adds its own.
    writer.write_record(None::<&[u8]>).expect("a vector takes everything");
    let mut line = writer.into_inner().expect("a vector takes everything");
    line.pop();
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use alumet::{Consumer, Metric, Registry};

    fn row(series: Series, v: f64) -> String {
        let registry = Registry::new();
        let id = registry.series(series).unwrap();
        let mut batch = Batch::new(registry);
        batch.push(id, v);
        let (mut rows, mut out) = (Rows { has_header: true, ..Rows::default() }, Vec::new());
        rows.push(&batch, &batch.points()[0], &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_row_has_the_columns_of_the_header() {
        let series = Series::new(Metric::counter("hw.energy", "J", ""))
            .resource("cpu_package", "0")
            .consumer(Consumer::Process(17))
            .label("domain", "dram");
        let expected = "0.000000000,1970-01-01T00:00:00.000000000Z,hw.energy,J,1.5,measured,cpu_package,0,process,17,\
            domain=dram,counter\n";
        assert_eq!(row(series, 1.5), expected);
        assert_eq!(expected.split(',').count(), HEADER.split(',').count());
    }

    #[test]
    fn names_cannot_break_a_row_or_become_formulas() {
        let named =
            |name: &str| row(Series::new(Metric::gauge("g", "1", "")).resource(name.to_owned(), name), 1.0);
        assert!(named("=cmd()").contains(",'=cmd(),'=cmd(),"));
        assert!(named("@x").contains(",'@x,"));
        assert!(named("a\"b,c").contains(r#","a""b,c","#));
        let label = row(Series::new(Metric::gauge("g", "1", "")).label("name", "a;b=c\nd\\e"), 1.0);
        assert!(label.ends_with(",name=a\\;b\\=c\\nd\\\\e,gauge\n"), "{label}");
    }

    #[test]
    fn no_cell_moves_a_terminals_cursor_or_turns_its_text() {
        let evil = "a\x1b[2J\u{202e}b\n\u{9b}";
        let series = Series::new(Metric::gauge("g", "1", "")).resource(evil, evil).label(evil, evil);
        let row = row(series, 1.0);
        let (body, end) = row.split_at(row.len() - 1);
        assert!(end == "\n" && body.chars().all(is_harmless), "{row:?}");
        assert!(row.contains(",a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd},"), "{row:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_value_reads_back_as_itself(bits in proptest::prelude::any::<u64>()) {
            let v = f64::from_bits(bits);
            let mut out = Vec::new();
            value(v, &mut out);
            let read: f64 = std::str::from_utf8(&out).unwrap().parse().unwrap();
            assert!(read == v || (read.is_nan() && v.is_nan()));
        }

        #[test]
        fn any_name_gives_one_record_of_twelve_cells(name in ".*") {
            let text = row(Series::new(Metric::gauge("g", "1", "")).label("k", name.clone()).resource("r", name), 0.0);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
            let records: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
            assert_eq!(records.len(), 1);
            assert_eq!(records[0].len(), 12);
        }
    }
}
