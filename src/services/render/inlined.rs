//! CSS into `style` attributes, once for all mails that differ in their words only.
//!
//! Which styles an element gets follows from tags and attributes, not from text. So the text of a page, and whereto its links lead, are taken out
//! before the CSS is inlined, and put back after it; what is left, the skeleton, is the same for most mails of a template, and its inlined form is
//! kept. Text is put back as it was written, entities and all.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use css_inline::{CSSInliner, InlineError};
use memchr::memmem::{self, Finder};
use parking_lot::Mutex;

/// Skeletons that are kept. A template has a few: one for each way through its conditions.
const KEPT: usize = 64;
/// What stands in a skeleton for what was taken out: this, which nobody writes (it is for private use), and a number as a character.
const MARK: char = '\u{F8F0}';
/// The number 0 as a character: the first of a plane that is for private use.
const ZERO: u32 = 0xF_0000;
/// What is taken out of a page at most: as much as that plane can count.
const MOST_WORDS: usize = 65_000;

/// What whereto a tag leads stands behind.
static LINKS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| [Finder::new(" href=\""), Finder::new(" src=\"")]);

/// Inlines CSS. One a process.
pub(super) struct Inliner {
    inliner: CSSInliner<'static>,
    kept: Mutex<BTreeMap<String, Arc<Frame>>>,
}

/// An inlined skeleton: pieces, and between them the numbers of what was taken out.
struct Frame {
    first: String,
    rest: Vec<(usize, String)>,
}

impl Inliner {
    pub(super) fn new() -> Self {
        let inliner = CSSInliner::options().load_remote_stylesheets(false).keep_style_tags(false).keep_at_rules(true).build();
        Self { inliner, kept: Mutex::default() }
    }

    /// The page with its CSS inlined.
    pub(super) fn inline(&self, html: &str) -> Result<String, InlineError> {
        let Some((skeleton, words)) = taken_apart(html) else { return self.inliner.inline(html) };
        let known = self.kept.lock().get(&skeleton).cloned();
        let frame = if let Some(frame) = known {
            frame
        } else {
            let Some(frame) = Frame::of(&self.inliner.inline(&skeleton)?, words.len()) else { return self.inliner.inline(html) };
            let frame = Arc::new(frame);
            let mut kept = self.kept.lock();
            if kept.len() >= KEPT {
                kept.clear();
            }
            kept.insert(skeleton, frame.clone());
            frame
        };
        Ok(frame.filled(&words, html.len()))
    }
}

impl Frame {
    /// `None` where not every number is there exactly once.
    fn of(inlined: &str, count: usize) -> Option<Self> {
        let mut pieces = inlined.split(MARK);
        let first = pieces.next()?.to_owned();
        let mut seen = vec![false; count];
        let mut rest = Vec::with_capacity(count);
        for piece in pieces {
            let mut text = piece.chars();
            let number = usize::try_from(u32::from(text.next()?).checked_sub(ZERO)?).ok()?;
            if std::mem::replace(seen.get_mut(number)?, true) {
                return None;
            }
            rest.push((number, text.as_str().to_owned()));
        }
        seen.into_iter().all(|seen| seen).then_some(Self { first, rest })
    }

    fn filled(&self, words: &[&str], length: usize) -> String {
        let mut page = String::with_capacity(2 * length);
        page.push_str(&self.first);
        for (number, text) in &self.rest {
            page.push_str(words[*number]);
            page.push_str(text);
        }
        page
    }
}

/// The skeleton and what was taken out of it; `None` where it is safer not to.
fn taken_apart(html: &str) -> Option<(String, Vec<&str>)> {
    if memmem::find(html.as_bytes(), MARK.encode_utf8(&mut [0; 4]).as_bytes()).is_some() {
        return None;
    }
    let mut parts = Parts { skeleton: String::with_capacity(html.len()), words: Vec::new(), has_links: false };
    let mut rest = html;
    // Whether links may be taken out is known once the styles are: they stand before the text, in the head.
    let mut has_attribute_selectors = false;
    let mut has_body = false;
    while !rest.is_empty() {
        let at = tag_start(rest);
        let (text, tag) = rest.split_at(at);
        // Inlining the whole would write it as an entity.
        if memchr::memchr(b'<', text.as_bytes()).is_some() {
            return None;
        }
        parts.text(text)?;
        let end = tag_end(tag)?;
        let (tag, behind) = tag.split_at(end);
        rest = behind;
        parts.tag(tag, !has_attribute_selectors)?;
        let name = tag_name(tag);
        if ["script", "textarea", "xmp", "plaintext", "noscript"].iter().any(|raw| name.eq_ignore_ascii_case(raw)) {
            return None;
        }
        has_body |= name.eq_ignore_ascii_case("body");
        if name.eq_ignore_ascii_case("style") {
            let close = memmem::find(rest.as_bytes(), b"</")?;
            let (css, behind) = rest.split_at(close);
            has_attribute_selectors |= memchr::memchr(b'[', css.as_bytes()).is_some();
            parts.skeleton.push_str(css);
            rest = behind;
            // What was taken out before was taken out without knowing it.
            if has_body || (has_attribute_selectors && parts.has_links) {
                return None;
            }
        }
    }
    Some((parts.skeleton, parts.words))
}

struct Parts<'h> {
    skeleton: String,
    words: Vec<&'h str>,
    /// Whether it was whereto a tag leads that was taken out.
    has_links: bool,
}

impl<'h> Parts<'h> {
    /// `None` where there is too much to take out.
    fn take(&mut self, word: &'h str) -> Option<()> {
        let number = u32::try_from(self.words.len()).ok().filter(|_| self.words.len() < MOST_WORDS)?;
        self.skeleton.push(MARK);
        self.skeleton.push(char::from_u32(ZERO + number)?);
        self.words.push(word);
        Some(())
    }

    /// White space stays as it is: in a table it means something else than text.
    fn text(&mut self, text: &'h str) -> Option<()> {
        let inner = text.trim();
        if inner.is_empty() {
            self.skeleton.push_str(text);
            return Some(());
        }
        let start = text.len() - text.trim_start().len();
        self.skeleton.push_str(&text[..start]);
        self.take(inner)?;
        self.skeleton.push_str(&text[start + inner.len()..]);
        Some(())
    }

    /// A tag; whereto it leads is taken out. Within single quotes it might be no link at all.
    fn tag(&mut self, tag: &'h str, takes_links: bool) -> Option<()> {
        let is_taken = takes_links
            && !tag.starts_with("<!")
            && !tag_name(tag).eq_ignore_ascii_case("link")
            && memchr::memchr(b'\'', tag.as_bytes()).is_none();
        let found = is_taken.then(|| LINKS.iter().find_map(|name| Some(name.find(tag.as_bytes())? + name.needle().len())));
        let start = found.flatten().unwrap_or(tag.len());
        let length = memchr::memchr(b'"', &tag.as_bytes()[start..]).unwrap_or_default();
        self.skeleton.push_str(&tag[..start]);
        if length > 0 {
            self.has_links = true;
            self.take(&tag[start..start + length])?;
        }
        self.skeleton.push_str(&tag[start + length..]);
        Some(())
    }
}

/// Where the next tag, comment or declaration starts; the end where there is none.
fn tag_start(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'<', &bytes[from..]).map(|at| from + at) {
        if bytes.get(at + 1).is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, b'/' | b'!' | b'?')) {
            return at;
        }
        from = at + 1;
    }
    text.len()
}

/// Where a tag or comment that starts at 0 ends; `None` where it does not.
fn tag_end(text: &str) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    if text.starts_with("<!--") {
        return memmem::find(text.as_bytes(), b"-->").map(|at| at + 3);
    }
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = from + memchr::memchr3(b'"', b'\'', b'>', &bytes[from..])?;
        if bytes[at] == b'>' {
            return Some(at + 1);
        }
        let quoted = at + 1;
        from = quoted + memchr::memchr(bytes[at], &bytes[quoted..])? + 1;
    }
}

/// The name of an opening tag, as it is written; empty for anything else.
fn tag_name(tag: &str) -> &str {
    let name = tag.strip_prefix('<').unwrap_or_default();
    let length = name.as_bytes().iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(name.len());
    &name[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: &str =
        "<style>p { color: red; } a { color: blue; } .x td { margin: 0; }\n@media print { p { color: black; } }</style>";

    fn page(style: &str, body: &str) -> String {
        format!("<!DOCTYPE html><html><head><title>T &amp; t</title>{style}</head><body>{body}</body></html>")
    }

    /// By hand, without taking anything apart. Entities that need not be are written out there.
    fn plainly(html: &str) -> String {
        Inliner::new().inliner.inline(html).unwrap()
    }

    #[test]
    fn what_comes_out_is_what_inlining_the_whole_makes() {
        let inliner = Inliner::new();
        for body in [
            "<p>Hello Ann,</p>",
            "<p>Hello Bob &amp; Co,</p>",
            "<p></p>",
            "<p> </p>",
            "<p>a &lt; b</p><a href=\"https://example.org/?a=1&amp;b=2\">go</a>",
            "<a href=\"\">go</a><a href='x'>go</a><img src=\"y.png\" alt=\"a > b\">",
            "<!--[if mso]><table><tr><td><![endif]--><table class=\"x\"><tr><td>one</td> <td>\n two \n</td></tr></table>",
            "<table>astray<tr><td>1</td></tr></table>",
            "Grüße, 日本 🎉<br>and <b>more</b> text",
            "<p class=\"x\">unclosed",
            "<p title=' href=\"a' class=\"x\">text</p><p title='c'>more</p>",
        ] {
            let html = page(STYLE, body);
            for _ in 0..2 {
                assert_eq!(inliner.inline(&html).unwrap(), plainly(&html), "{body}");
            }
        }
        let kept = inliner.kept.lock().len();
        drop(inliner.inline(&page(STYLE, "<p>Hello Someone Else,</p>")).unwrap());
        assert_eq!(inliner.kept.lock().len(), kept, "the same skeleton");
    }

    #[test]
    fn where_words_matter_to_the_styles_nothing_is_taken_out() {
        let inliner = Inliner::new();
        let style = "<style>a[href^=\"https\"] { color: red; }</style>";
        for body in ["<a href=\"https://example.org\">x</a>", "<a href=\"http://example.org\">x</a>"] {
            let html = page(style, body);
            assert_eq!(inliner.inline(&html).unwrap(), plainly(&html));
        }
        for html in [
            page("", "<p>a</p><style>p { color: red }</style>"),
            page(STYLE, "<script>if (a < b) { '<p>' }</script><p>x</p>"),
            page(STYLE, "<p>\u{F8F0}0\u{F8F1}</p>"),
            page(STYLE, "<p title=\"open>x</p>"),
            format!("<a href=\"https://example.org\">x</a>{style}<a href=\"http://example.org\">y</a>"),
            page(STYLE, "<p>a < b and 3 <4</p><a href=\"https://example.org/?a=1&amp;b=2\">go</a>"),
        ] {
            assert_eq!(inliner.inline(&html).unwrap(), plainly(&html), "{html}");
            assert!(taken_apart(&html).is_none(), "{html}");
        }
    }

    #[test]
    fn no_more_skeletons_are_kept_than_have_room() {
        let inliner = Inliner::new();
        for count in 0..3 * KEPT {
            inliner.inline(&page(STYLE, &"<p>x</p>".repeat(count))).unwrap();
        }
        assert!(inliner.kept.lock().len() <= KEPT);
    }
}
