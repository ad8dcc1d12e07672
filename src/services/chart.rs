//! Charts as SVG text: lines over time, and the bars of a list. Pure functions of their data, without script and without colours: the page
//! that holds them styles their classes (`l0`, `l1`, … lines, `a0` the area below the first, `p0` points, `k0` keys, `b` bars, `g` grid
//! lines, `x` the base line). Every text in them is escaped. A drawing is as wide as it is told to be; a page that serves narrow screens
//! too draws twice, so that its letters stay readable.

use std::fmt::Write as _;

/// The height of a chart of lines.
const LINES_HEIGHT: f64 = 260.0;
/// The height of a bar with its gap.
const BAR_ROW: f64 = 28.0;
/// The height of a bar.
const BAR_HEIGHT: f64 = 16.0;
/// The most grid lines above the base line.
const MOST_STEPS: u128 = 5;
/// Points that are nearer to each other have no dots, which would touch.
const LEAST_DOT_GAP: f64 = 9.0;
/// How wide a letter of 12 pixels is, about; those of wide scripts are as wide as high.
const LETTER: f64 = 7.4;
const WIDE_LETTER: f64 = 12.5;
/// The least gap between two labels below the axis.
const LABEL_GAP: f64 = 14.0;

/// A chart of lines over one axis of labels.
#[derive(Clone, Copy, Debug)]
pub struct LineChart<'a> {
    /// Unique in its page: letters, digits and `-`.
    pub id: &'a str,
    /// What it shows, in a few words.
    pub title: &'a str,
    /// What can be seen in it, for who does not see it.
    pub description: &'a str,
    /// What is below the axis, a text a value.
    pub labels: &'a [String],
    /// The lines; each has as many values as there are labels.
    pub lines: &'a [Line<'a>],
    /// How wide the drawing is, in pixels.
    pub width: u32,
}

/// One line of a line chart.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its name in the key, which is drawn where there are several.
    pub name: &'a str,
    /// The values from left to right, at equal distances.
    pub values: &'a [u64],
}

/// A chart of bars, one a row, the first at the top.
#[derive(Clone, Copy, Debug)]
pub struct BarChart<'a> {
    /// Unique in its page: letters, digits and `-`.
    pub id: &'a str,
    /// What it shows, in a few words.
    pub title: &'a str,
    /// What can be seen in it, for who does not see it.
    pub description: &'a str,
    /// The bars, the first at the top.
    pub bars: &'a [Bar<'a>],
    /// How wide the drawing is, in pixels.
    pub width: u32,
}

/// One bar of a bar chart.
#[derive(Clone, Copy, Debug)]
pub struct Bar<'a> {
    /// Beside it; cut where it is too long.
    pub label: &'a str,
    /// How long it is.
    pub value: u64,
}

/// Draws lines. Without a value there is an empty frame.
pub fn lines(chart: &LineChart<'_>) -> String {
    let (count, width) = (chart.labels.len(), f64::from(chart.width));
    let most = chart.lines.iter().flat_map(|line| line.values).copied().max().unwrap_or(0);
    let ticks = ticks(most);
    let tick_width = ticks.iter().map(|&tick| width_of(&compact(tick))).fold(0.0, f64::max) + 10.0;
    let top = if chart.lines.len() > 1 { 34.0 } else { 12.0 };
    let frame = Frame {
        // The first label stands below its point without being moved.
        left: chart.labels.first().map_or(0.0, |label| width_of(label) / 2.0).max(tick_width),
        right: width - 8.0,
        top,
        bottom: LINES_HEIGHT - 28.0,
        count,
        most: float(ticks.last().copied().unwrap_or(1)),
    };
    let mut svg = opened(chart.id, chart.title, chart.description, width, LINES_HEIGHT);
    draw_grid(&mut svg, &frame, &ticks);
    draw_labels(&mut svg, &frame, chart.labels, width);
    draw_key(&mut svg, chart.lines);
    // The first line is drawn last: it is the one that the chart is about.
    for (index, line) in chart.lines.iter().enumerate().rev() {
        draw_line(&mut svg, &frame, index, line, chart.labels);
    }
    svg.push_str("</svg>");
    svg
}

/// Draws bars; each is as long as its share of the longest.
pub fn bars(chart: &BarChart<'_>) -> String {
    let width = f64::from(chart.width);
    let height = BAR_ROW * float(chart.bars.len().max(1) as u128);
    let value_width = chart.bars.iter().map(|bar| width_of(&grouped(bar.value))).fold(0.0, f64::max) + 8.0;
    let widest = chart.bars.iter().map(|bar| width_of(bar.label)).fold(0.0, f64::max) + 10.0;
    let left = widest.min(width * 0.42);
    let room = (width - left - value_width).max(1.0);
    let most = float(chart.bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1).into());
    let mut svg = opened(chart.id, chart.title, chart.description, width, height);
    for (index, bar) in chart.bars.iter().enumerate() {
        let at = BAR_ROW * float(index as u128);
        let middle = at + BAR_ROW / 2.0;
        let length = room * float(bar.value.into()) / most;
        // What is there is seen, however little it is.
        let length = if bar.value > 0 { length.max(1.5) } else { 0.0 };
        let (label, whole, value) = (escaped(&cut(bar.label, left - 10.0)), escaped(bar.label), grouped(bar.value));
        put(&mut svg, format_args!("<g><title>{whole}: {value}</title>"));
        put(&mut svg, format_args!("<text x=\"{:.1}\" y=\"{:.1}\" class=\"e\">{label}</text>", left - 8.0, middle + 4.0));
        let y = middle - BAR_HEIGHT / 2.0;
        put(
            &mut svg,
            format_args!(
                "<rect class=\"b\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\"/>"
            ),
        );
        put(&mut svg, format_args!("<text x=\"{:.1}\" y=\"{:.1}\">{value}</text></g>", left + length + 6.0, middle + 4.0));
    }
    svg.push_str("</svg>");
    svg
}

/// Where the lines are drawn.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    count: usize,
    /// The value at the top.
    most: f64,
}

impl Frame {
    /// A single value stands in the middle.
    fn x(&self, index: usize) -> f64 {
        let share = if self.count > 1 { float(index as u128) / float(self.count as u128 - 1) } else { 0.5 };
        self.left + (self.right - self.left) * share
    }

    fn y(&self, value: u128) -> f64 {
        self.bottom - (self.bottom - self.top) * float(value) / self.most
    }
}

fn draw_grid(svg: &mut String, frame: &Frame, ticks: &[u128]) {
    for &tick in ticks {
        let (y, class, text) = (frame.y(tick), if tick == 0 { "x" } else { "g" }, compact(tick));
        let (left, right) = (frame.left, frame.right);
        put(svg, format_args!("<line class=\"{class}\" x1=\"{left:.1}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\"/>"));
        put(svg, format_args!("<text x=\"{:.1}\" y=\"{:.1}\" class=\"e\">{text}</text>", left - 6.0, y + 4.0));
    }
}

/// As many labels as fit beside each other, evenly, from the first on; those at the ends are moved inwards.
fn draw_labels(svg: &mut String, frame: &Frame, labels: &[String], width: f64) {
    let widest = labels.iter().map(|label| width_of(label)).fold(0.0, f64::max);
    let room = frame.right - frame.left;
    let step = if labels.len() > 1 { room / float(labels.len() as u128 - 1) } else { room };
    let every =
        (1..=labels.len()).find(|&every| step * float(every as u128) >= widest + LABEL_GAP).unwrap_or(labels.len().max(1));
    let mut free = 0.0;
    for (index, label) in labels.iter().enumerate().step_by(every) {
        let (tick, bottom, half) = (frame.x(index), frame.bottom, width_of(label) / 2.0);
        let x = tick.max(half).min(width - half);
        if x - half < free {
            continue;
        }
        free = x + half + LABEL_GAP / 2.0;
        let label = escaped(label);
        put(
            svg,
            format_args!("<line class=\"x\" x1=\"{tick:.1}\" y1=\"{bottom:.1}\" x2=\"{tick:.1}\" y2=\"{:.1}\"/>", bottom + 4.0),
        );
        put(svg, format_args!("<text x=\"{x:.1}\" y=\"{:.1}\" class=\"m\">{label}</text>", bottom + 19.0));
    }
}

fn draw_key(svg: &mut String, lines: &[Line<'_>]) {
    if lines.len() < 2 {
        return;
    }
    let mut x = 2.0;
    for (index, line) in lines.iter().enumerate() {
        put(svg, format_args!("<line class=\"l{index}\" x1=\"{x:.1}\" y1=\"12\" x2=\"{:.1}\" y2=\"12\"/>", x + 22.0));
        put(svg, format_args!("<text x=\"{:.1}\" y=\"16\">{}</text>", x + 28.0, escaped(line.name)));
        x += 28.0 + width_of(line.name) + 18.0;
    }
}

fn draw_line(svg: &mut String, frame: &Frame, index: usize, line: &Line<'_>, labels: &[String]) {
    let mut points = String::new();
    for (place, &value) in line.values.iter().enumerate() {
        let separator = if place == 0 { "" } else { " " };
        put(&mut points, format_args!("{separator}{:.1},{:.1}", frame.x(place), frame.y(value.into())));
    }
    let Some(last) = line.values.len().checked_sub(1) else { return };
    if index == 0 && last > 0 {
        let (from, to, bottom) = (frame.x(0), frame.x(last), frame.bottom);
        put(svg, format_args!("<polygon class=\"a0\" points=\"{from:.1},{bottom:.1} {points} {to:.1},{bottom:.1}\"/>"));
    }
    put(svg, format_args!("<polyline class=\"l{index}\" points=\"{points}\"/>"));
    if last > 0 && (frame.right - frame.left) / float(last as u128) < LEAST_DOT_GAP {
        return;
    }
    for (place, &value) in line.values.iter().enumerate() {
        let (x, y, radius) = (frame.x(place), frame.y(value.into()), if last == 0 { 4.0 } else { 2.5 });
        let label = escaped(labels.get(place).map_or("", String::as_str));
        let reported = format_args!("{label}: {} ({})", grouped(value), escaped(line.name)).to_string();
        put(
            svg,
            format_args!(
                "<circle class=\"p{index}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{reported}</title></circle>"
            ),
        );
    }
}

fn opened(id: &str, title: &str, description: &str, width: f64, height: f64) -> String {
    let (title, description) = (escaped(title), escaped(description));
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
         <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{description}</desc>"
    )
}

/// Whole numbers from 0 to at least `most` in at most [`MOST_STEPS`] equal steps of 1, 2 or 5 times a power of ten.
fn ticks(most: u64) -> Vec<u128> {
    let most = u128::from(most.max(1));
    let mut power = 1_u128;
    let step = loop {
        // A power of ten above all of 64 bits is soon reached.
        match [1, 2, 5].into_iter().map(|digit| digit * power).find(|step| step * MOST_STEPS >= most) {
            Some(step) => break step,
            None => power *= 10,
        }
    };
    (0..=most.div_ceil(step)).map(|number| number * step).collect()
}

/// A number with commas between thousands, as in `12,345`.
pub fn grouped(number: u64) -> String {
    grouped_wide(number.into())
}

fn grouped_wide(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number for an axis: `9,500`, `12K`, `1.5M`.
fn compact(number: u128) -> String {
    const UNITS: [(u128, u128, &str); 4] = [
        (1_000_000_000_000, 1_000_000_000_000, "T"),
        (1_000_000_000, 1_000_000_000, "B"),
        (1_000_000, 1_000_000, "M"),
        (10_000, 1_000, "K"),
    ];
    let Some((_, unit, letter)) = UNITS.into_iter().find(|(from, ..)| number >= *from) else { return grouped_wide(number) };
    let (whole, tenth) = (grouped_wide(number / unit), number % unit * 10 / unit);
    if tenth == 0 { format!("{whole}{letter}") } else { format!("{whole}.{tenth}{letter}") }
}

fn width_of(text: &str) -> f64 {
    text.chars().map(letter_width).sum()
}

fn letter_width(letter: char) -> f64 {
    if letter >= '\u{2e80}' { WIDE_LETTER } else { LETTER }
}

/// As much of a text as fits into so many pixels, with `…` where something was cut.
fn cut(text: &str, room: f64) -> String {
    if width_of(text) <= room {
        return text.to_owned();
    }
    let mut width = LETTER;
    let kept = text.chars().take_while(|&letter| {
        width += letter_width(letter);
        width <= room
    });
    kept.chain(['…']).collect()
}

/// A text as it stands in an element or an attribute; control characters are blanks.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

/// Writing to a text does not fail.
fn put(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).ok();
}

#[expect(clippy::cast_precision_loss, reason = "a place on paper needs no more than fifteen digits")]
fn float(number: u128) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
