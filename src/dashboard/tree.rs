//! JSON as a tree that can be read: at most so deep, so many and so long, whatever came.

use serde::Serialize;
use serde_json::Value;

use super::format;

/// Deeper values are shown as text.
const MAX_DEPTH: usize = 8;
/// So many fields or items are shown of each object or list.
const MAX_CHILDREN: usize = 100;
/// So many characters are shown of a text.
const MAX_TEXT: usize = 4_000;
/// Values down to this depth are open.
const OPEN_DEPTH: usize = 2;

/// A value of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Node {
    key: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    text: String,
    size: String,
    open: bool,
    children: Option<Vec<Self>>,
    more: Option<String>,
    url: Option<String>,
}

/// The tree of a value. `hidden` is the text that stands for what may be secret; `link` knows where a text leads.
pub(super) fn tree(value: &Value, hidden: &str, link: &dyn Fn(&str) -> Option<String>) -> Node {
    Builder { hidden, link }.node(None, value, 0)
}

struct Builder<'a> {
    hidden: &'a str,
    link: &'a dyn Fn(&str) -> Option<String>,
}

impl Builder<'_> {
    fn node(&self, key: Option<&str>, value: &Value, depth: usize) -> Node {
        let leaf = |kind, text: String| Node {
            key: key.map(str::to_owned),
            kind,
            text,
            size: String::new(),
            open: false,
            children: None,
            more: None,
            url: None,
        };
        match value {
            Value::Null => leaf("null", "null".into()),
            Value::Bool(is) => leaf("bool", is.to_string()),
            Value::Number(number) => leaf("number", number.to_string()),
            Value::String(text) if text == self.hidden => leaf("sensitive", String::new()),
            Value::String(text) => Node { url: (self.link)(text), ..leaf("string", format::clip(text, MAX_TEXT)) },
            Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => {
                leaf("string", format::clip(&value.to_string(), MAX_TEXT))
            }
            Value::Array(items) => {
                let children = items.iter().take(MAX_CHILDREN).enumerate();
                let children = children.map(|(place, item)| self.node(Some(&place.to_string()), item, depth + 1)).collect();
                branch(leaf("array", String::new()), items.len(), "item", children, depth)
            }
            Value::Object(fields) => {
                let children = fields.iter().take(MAX_CHILDREN);
                let children =
                    children.map(|(name, field)| self.node(Some(&format::clip(name, 200)), field, depth + 1)).collect();
                branch(leaf("object", String::new()), fields.len(), "field", children, depth)
            }
        }
    }
}

/// A node with children, of which there are `count` in all.
fn branch(leaf: Node, count: usize, noun: &str, children: Vec<Node>, depth: usize) -> Node {
    let more = count.checked_sub(MAX_CHILDREN).filter(|more| *more > 0);
    Node {
        size: format::count(count as u64, noun),
        open: depth < OPEN_DEPTH && count <= 20,
        more: more.map(|more| format!("{} more", format::number(more as u64))),
        children: Some(children),
        ..leaf
    }
}

/// The first fields of an object in one line, for lists.
pub(super) fn line(args: &Value, hidden: &str) -> String {
    const MAX_LINE: usize = 160;
    let Value::Object(fields) = args else { return format::clip(&args.to_string(), MAX_LINE) };
    let mut text = String::new();
    for (name, value) in fields {
        if text.len() > MAX_LINE {
            break;
        }
        if !text.is_empty() {
            text.push_str(" · ");
        }
        let rendered = match value {
            Value::String(secret) if secret == hidden => "hidden".into(),
            Value::Array(items) => format::count(items.len() as u64, "item"),
            Value::Object(inner) => format::count(inner.len() as u64, "field"),
            plain => format::clip(&plain.to_string(), 60),
        };
        text.extend([name.as_str(), ": ", &rendered]);
    }
    format::clip(&text, MAX_LINE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn no_link(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn what_may_be_secret_is_never_shown() {
        let node = tree(&json!({"headers": "[sensitive]", "url": "x"}), "[sensitive]", &no_link);
        let headers = &node.children.unwrap()[0];
        assert_eq!((headers.kind, headers.text.as_str()), ("sensitive", ""));
        assert_eq!(line(&json!({"headers": "[sensitive]"}), "[sensitive]"), "headers: hidden");
    }

    #[test]
    fn a_tree_is_bounded_in_every_direction() {
        let long: Vec<u32> = (0..5_000).collect();
        let node = tree(&json!(long), "", &no_link);
        assert_eq!(node.children.as_ref().unwrap().len(), MAX_CHILDREN);
        assert_eq!(node.more.as_deref(), Some("4,900 more"));
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        let text = serde_json::to_string(&tree(&deep, "", &no_link)).unwrap();
        assert!(text.len() < 5_000, "{}", text.len());
        assert_eq!(tree(&json!("x".repeat(10_000)), "", &no_link).text.chars().count(), MAX_TEXT + 1);
    }

    #[test]
    fn a_list_shows_the_fields_of_args_in_one_line() {
        let args = json!({"subject": "Hello", "recipients": [1, 2], "context": {}});
        assert_eq!(line(&args, ""), "context: 0 fields · recipients: 2 items · subject: \"Hello\"");
    }
}
