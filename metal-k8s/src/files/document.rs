//! The documents of a manifest file, each with the line it starts at.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::outline;
use crate::parse::yaml_error;

/// Why a document cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The line in the file.
    pub(super) line: Option<u64>,
    /// What is wrong.
    pub(super) reason: String,
}

/// One object of a file.
pub(super) struct Document<'a> {
    /// The line where it starts.
    pub(super) line: u64,
    body: Body<'a>,
}

enum Body<'a> {
    Yaml(&'a str),
    Json(&'a str),
    /// An item of a list: what it says, the text of the outermost list and where that starts, and the
    /// item's path in it.
    Item {
        value: Value,
        text: &'a str,
        start: u64,
        path: String,
    },
}

/// What says which kind of object a document is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    pub(super) api_version: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) metadata: Option<HeadMeta>,
}

/// The part of `metadata` that names an object.
#[derive(Debug, Default, Deserialize)]
pub(super) struct HeadMeta {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
}

#[derive(Deserialize)]
struct List<T> {
    items: Option<Vec<T>>,
}

impl List<Spanned<Value>> {
    /// The items and their lines, in a list that starts at `start`.
    fn with_lines(self, start: u64) -> Vec<(u64, Value)> {
        let items = self.items.unwrap_or_default().into_iter();
        items.map(|entry| (entry.referenced.line() + start - 1, entry.value)).collect()
    }
}

impl List<Value> {
    fn all_at(self, line: u64) -> Vec<(u64, Value)> {
        self.items.unwrap_or_default().into_iter().map(|value| (line, value)).collect()
    }
}

/// The documents in `text`, without those that are empty.
pub(super) fn split(text: &str, json: bool) -> Vec<Document<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if json {
        let body = Body::Json(text);
        return if text.trim().is_empty() { Vec::new() } else { vec![Document { line: 1, body }] };
    }
    let mut documents = Vec::new();
    let (mut start, mut first, mut offset) = (0, 1, 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let marks =
            line.strip_prefix("---").is_some_and(|rest| rest.chars().next().is_none_or(char::is_whitespace));
        if marks && offset > start {
            documents.push((first, &text[start..offset]));
            (start, first) = (offset, number);
        }
        offset += line.len();
    }
    documents.push((first, &text[start..]));
    let documents = documents.into_iter().filter(|(_, text)| !is_empty(text));
    documents.map(|(line, text)| Document { line, body: Body::Yaml(text) }).collect()
}

/// Only comments, markers and directives.
fn is_empty(text: &str) -> bool {
    text.lines().all(|line| {
        let line = line.strip_prefix("---").unwrap_or(line).trim_start();
        line.is_empty() || line.starts_with('#') || line.starts_with('%') || line.trim_end() == "..."
    })
}

impl<'a> Document<'a> {
    /// Decodes the document.
    pub(super) fn decode<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        match &self.body {
            Body::Yaml(text) => serde_saphyr::from_str(text).map_err(|error| {
                let (line, reason) = yaml_error(&error);
                Fault { line: line.map(|line| line + self.line - 1), reason }
            }),
            Body::Json(text) => serde_json::from_str(text).map_err(|error| {
                let text = error.to_string();
                let reason = text.rsplit_once(" at line ").map_or(&*text, |(reason, _)| reason);
                Fault { line: u64::try_from(error.line()).ok(), reason: reason.into() }
            }),
            Body::Item { value, .. } => T::deserialize(value)
                .map_err(|error| Fault { line: Some(self.line), reason: error.to_string() }),
        }
    }

    /// The objects of a list, as documents of their own.
    pub(super) fn items(&self) -> Result<Vec<Document<'a>>, Fault> {
        let (text, start, prefix) = self.place();
        let lines: Vec<_> = match &self.body {
            Body::Yaml(_) => self.decode::<List<Spanned<Value>>>()?.with_lines(self.line),
            // JSON is YAML, and only the reader of YAML knows lines.
            Body::Json(text) => match serde_saphyr::from_str::<List<Spanned<Value>>>(text) {
                Ok(list) => list.with_lines(self.line),
                Err(_) => self.decode::<List<Value>>()?.all_at(self.line),
            },
            Body::Item { .. } => self.decode::<List<Value>>()?.all_at(self.line),
        };
        let document = |(index, (line, value))| {
            let path = format!("{prefix}items[{index}].");
            Document { line, body: Body::Item { value, text, start, path } }
        };
        Ok(lines.into_iter().enumerate().map(document).collect())
    }

    /// The line of a field such as `spec.addresses[0]`, else the first one of the document that says anything.
    pub(super) fn line_of(&self, field: &str) -> u64 {
        let (text, start, prefix) = self.place();
        let line = |path: &str| outline::line_of(text, path).map(|line| start + line - 1);
        let field = Some(field).filter(|field| !field.is_empty());
        field.and_then(|field| line(&format!("{prefix}{field}"))).or_else(|| line(prefix)).unwrap_or_else(
            || {
                let says = |(_, line): &(u64, &str)| prefix.is_empty() && !is_empty(line);
                (start..).zip(text.lines()).find(says).map_or(self.line, |(number, _)| number)
            },
        )
    }

    /// The text that the document is in, the line where that starts, and the path of the document in it.
    fn place(&self) -> (&'a str, u64, &str) {
        match &self.body {
            Body::Yaml(text) | Body::Json(text) => (text, self.line, ""),
            Body::Item { text, start, path, .. } => (text, *start, path),
        }
    }

    /// Whether it says anywhere that it is a Secret, also where it cannot be decoded.
    pub(super) fn is_secret(&self) -> bool {
        let text = match &self.body {
            Body::Yaml(text) | Body::Json(text) => text,
            Body::Item { value, .. } => return value["kind"] == "Secret",
        };
        let letters = |letter: char| !letter.is_ascii_alphanumeric();
        let mut words = text.split(letters).filter(|word| !word.is_empty()).peekable();
        while let Some(word) = words.next() {
            if word == "kind" && words.peek().is_some_and(|next| next.starts_with("Secret")) {
                return true;
            }
        }
        false
    }

    /// The line that says the kind, else the one where the document starts.
    pub(super) fn kind_line(&self) -> u64 {
        let (Body::Yaml(text) | Body::Json(text)) = self.body else { return self.line };
        let says = |line: &str| {
            let line = line.trim_start();
            line.starts_with("kind:") || line.starts_with("\"kind\"")
        };
        (self.line..).zip(text.lines()).find(|(_, line)| says(line)).map_or(self.line, |(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str, json: bool) -> Vec<(u64, u64, String)> {
        let documents = split(text, json);
        let read = documents.iter().map(|document| {
            let head: Head = document.decode().unwrap();
            (document.line, document.kind_line(), head.kind.unwrap_or_default())
        });
        read.collect()
    }

    #[test]
    fn documents_with_their_lines_and_without_empty_ones() {
        let text = "# first\n---\n# nothing\n---\napiVersion: v1\nkind: A\n--- # marked\n\nkind: B\n---\n...\n---\nkind: C";
        let found: Vec<_> = kinds(text, false);
        assert_eq!(found, [(4, 6, "A".into()), (7, 9, "B".into()), (12, 13, "C".into())]);
        assert_eq!(kinds("kind: A\ntext: |\n  --- not a marker\n----: 1\n", false), [(1, 1, "A".into())]);
        assert_eq!(kinds("{\n  \"kind\": \"A\"\n}\n", true), [(1, 2, "A".into())]);
        for empty in ["", "\n\n", "# c\n", "---\n---\n"] {
            assert!(split(empty, false).is_empty(), "{empty:?}");
        }
        assert!(split(" \n", true).is_empty());
    }

    #[test]
    fn faults_say_the_line_in_the_file() {
        let text = "kind: A\n---\nkind: B\nmetadata: [\n";
        let fault = split(text, false)[1].decode::<Head>().unwrap_err();
        assert!(fault.line.is_some_and(|line| (4..=5).contains(&line)), "{fault:?}");
        let text = "kind: A\n---\nkind: B\nmetadata:\n  name: {}\n";
        assert_eq!(split(text, false)[1].decode::<Head>().unwrap_err().line, Some(5));
        let fault = split("{\n \"kind\": 7\n}", true)[0].decode::<Head>().unwrap_err();
        assert_eq!(fault.line, Some(2));
        assert!(!fault.reason.contains(" at line "), "{fault:?}");
    }

    #[test]
    fn items_of_a_list_are_documents() {
        let text = "kind: X\n---\nkind: List\nitems:\n- kind: A\n- kind: B\n  metadata: {name: b}\n";
        let items = split(text, false)[1].items().unwrap();
        let lines: Vec<_> = items.iter().map(|item| item.line).collect();
        assert_eq!(lines, [5, 6]);
        assert_eq!(items[1].decode::<Head>().unwrap().metadata.unwrap().name, Some("b".into()));
        let items = split(r#"{"kind": "List", "items": [{"kind": "A"}]}"#, true)[0].items().unwrap();
        assert_eq!(items[0].decode::<Head>().unwrap().kind, Some("A".into()));
    }

    #[test]
    fn fields_have_lines_in_the_file() {
        let text =
            "kind: X\n---\n# a list\nkind: List\nitems:\n- kind: A\n- kind: B\n  spec:\n    addresses: [x]\n";
        let documents = split(text, false);
        assert_eq!(documents[0].line_of("spec.addresses[0]"), 1);
        assert_eq!(documents[1].line_of(""), 4);
        let items = documents[1].items().unwrap();
        assert_eq!(items[0].line_of("spec.addresses[0]"), 6);
        assert_eq!(items[1].line_of("spec.addresses[0]"), 9);
        assert_eq!(items[1].line_of(""), 7);
    }
}
