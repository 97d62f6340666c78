//! The picture of a window so far: what was scanned since it began, against the limit and its thresholds, and where that leads.
//!
//! All words and numbers stand around the picture as text, where a mail program can enlarge, translate and read them out; the picture is
//! shapes alone, and its lines differ in form as well as in colour.

use jiff::Timestamp;

use super::raster::{Canvas, Ink};
use super::words::Words;
use crate::bytes::Bytes;
use crate::delivery::LimitFacts;
use crate::percent::{Percent, whole_percent};

/// Twice the dots of the 540 that it is wide in a mail, for screens that have them.
const WIDTH: u16 = 1080;
const HEIGHT: u16 = 320;
/// Room above the highest line.
const TOP: i32 = 8;
/// The bottom line.
const FLOOR: i32 = 314;

/// Use is cut off where it is more than this many times the limit: the limit would be a line at the bottom otherwise.
const HIGHEST: f64 = 2.0;

/// A picture, and the words that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plot {
    pub png: Vec<u8>,
    /// How the HTML form calls it, once the mail is put together.
    pub cid: String,
    /// All that it shows, in words; for those who do not see it.
    pub alt: String,
    pub heading: String,
    /// The same for the text form: a character per stretch of time, as high as its share of the limit.
    pub spark: String,
    pub left: String,
    pub right: String,
    /// Where most was scanned at once, for the text form; empty where nothing stands out.
    pub steepest: String,
    /// What each line is, after how it is drawn, as a border of HTML: its form and colour are those of the picture. Empty where words say it.
    pub key: Vec<(&'static str, String)>,
}

impl Words<'_> {
    /// The picture of a limit's window; `None` where it is not known how that has filled. `guess` is when it runs out, where that is told.
    pub(super) fn plot(&self, facts: &LimitFacts, guess: Option<Timestamp>) -> Option<Plot> {
        let trail = &facts.trail;
        if trail.is_empty() || facts.limit == Bytes::ZERO {
            return None;
        }
        let units = facts.units;
        let (used, limit) = (facts.used.human(units), facts.limit.human(units));
        let (start, now) = (trail.span.start, trail.span.end);
        let until = trail.ends.or(guess).filter(|end| *end > now).unwrap_or(now);
        let png = draw(facts, guess, until).png();
        let since = self.when(start);
        let heading = format!("Scanned since {since}, added up");
        let mut alt = format!(
            "Picture: {used} scanned since {since}, which is {} % of the limit of {limit}",
            whole_percent(facts.used, facts.limit)
        );
        let steepest = steepest(facts).map(|(at, most)| format!("{} until {}", most.human(units), self.when(at)));
        if let Some(steepest) = &steepest {
            alt.push_str(&format!("; the steepest rise was {steepest}"));
        }
        let mut key = vec![
            (LIMIT, format!("limit {limit}")),
            ("2px dashed #858b93", format!("critical {}", facts.critical)),
            (WARN, format!("warn {}", facts.warn)),
        ];
        if until > now {
            key.push(("", "upright line: now".to_owned()));
        }
        if let Some(guess) = guess {
            key.push(("3px dotted #b0609a", format!("at this pace, gone at about {}", self.time(guess))));
            alt.push_str(&format!("; at this pace it is gone at about {}", self.time(guess)));
        }
        alt.push('.');
        let right = match trail.ends {
            Some(ends) => format!("ends {}", self.time(ends)),
            None if until > now => self.time(until),
            None => format!("now, {}", self.time(now)),
        };
        Some(Plot {
            png,
            cid: String::new(),
            alt,
            heading,
            spark: facts.trail.blocks(facts.limit, CELLS),
            left: since,
            right,
            steepest: steepest.map_or(String::new(), |steepest| format!("steepest rise: {steepest}")),
            key,
        })
    }
}

/// How the limit and the level of `warn` are drawn, as borders of HTML.
pub(super) const LIMIT: &str = "3px solid #d55e00";
pub(super) const WARN: &str = "2px dotted #858b93";

/// Characters of the text form's picture.
const CELLS: i64 = 40;

/// The end of the step in which most was scanned, and how much, where one stands out: a quarter of all that is used.
fn steepest(facts: &LimitFacts) -> Option<(Timestamp, Bytes)> {
    let mut before = Bytes::ZERO;
    let rises = facts.trail.points().map(|(at, sum)| {
        let rise = sum.saturating_sub(before);
        before = sum;
        (at, rise)
    });
    let (at, rise) = rises.max_by_key(|(_, rise)| *rise)?;
    let stands_out = Percent::whole(25).reached(rise, facts.used) && rise > Bytes::ZERO;
    Some((Timestamp::from_second(at).ok()?, rise)).filter(|_| stands_out)
}

fn draw(facts: &LimitFacts, guess: Option<Timestamp>, until: Timestamp) -> Canvas {
    let (start, now) = (facts.trail.span.start.as_second(), facts.trail.span.end.as_second());
    let width = i32::from(WIDTH);
    // A little room behind the last thing that is drawn, so that it is seen to end there.
    let room = if until.as_second() > now { 24 } else { 0 };
    let length = (until.as_second() - start).max(1) as f64;
    let x = |at: i64| ((at - start) as f64 / length * f64::from(width - room)).round() as i32;
    let share = |bytes: Bytes| bytes.get() as f64 / facts.limit.get().max(1) as f64;
    let highest = share(facts.used).clamp(1.0, HIGHEST) * 1.04;
    let y = |share: f64| FLOOR - (share.min(highest) / highest * f64::from(FLOOR - TOP)).round() as i32;
    let mut canvas = Canvas::new(WIDTH, HEIGHT);
    let mut left = 0;
    let mut height = FLOOR;
    for (at, sum) in facts.trail.points() {
        let (right, top) = (x(at), y(share(sum)));
        canvas.fill((left, top), (right, FLOOR), Ink::Use);
        // The rise, then the level: no border at the bottom where nothing is used yet.
        canvas.fill((left, top), (left + 4, height), Ink::Edge);
        if sum > Bytes::ZERO {
            canvas.fill((left, top), (right, top + 4), Ink::Edge);
        }
        (left, height) = (right, top);
    }
    let end = x(now);
    canvas.level((0, width), FLOOR + 2, 3, (1, 0), Ink::Rule);
    canvas.level((0, width), y(facts.warn.as_f64() / 100.0), 3, (6, 8), Ink::Rule);
    canvas.level((0, width), y(facts.critical.as_f64() / 100.0), 3, (22, 12), Ink::Rule);
    canvas.level((0, width), y(1.0), 6, (1, 0), Ink::Limit);
    if end < width {
        canvas.fill((end - 2, TOP), (end + 1, FLOOR), Ink::Rule);
    }
    if let Some(guess) = guess {
        canvas.dotted((end, height), (x(guess.as_second()), y(1.0)), 7, 16, Ink::Guess);
    }
    canvas
}
