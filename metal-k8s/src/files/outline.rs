//! Where the fields of a document are.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

/// The line of the field with this path, such as `spec.addresses[0]`, in a YAML or JSON document; of what it
/// would be in, if it is not there itself. `None` when not even its second step is there.
pub(super) fn line_of(text: &str, path: &str) -> Option<u64> {
    let outline: Outline = serde_saphyr::from_str(text).ok()?;
    let (mut here, mut line) = (&outline, None);
    for (depth, step) in steps(path).enumerate() {
        let next = match (here, step) {
            (Outline::Map(entries), Step::Key(key)) => {
                entries.iter().find(|(name, ..)| name == key).map(|(_, line, value)| (*line, value))
            }
            (Outline::List(items), Step::Index(index)) => {
                items.get(index).map(|(line, value)| (*line, value))
            }
            _ => None,
        };
        let Some((found, value)) = next else { break };
        here = value;
        // A field of which only `spec` is there is nowhere.
        line = (depth > 0 || steps(path).count() == 1).then_some(found);
    }
    line
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(path: &str) -> impl Iterator<Item = Step<'_>> {
    path.split(['.', '[']).filter(|part| !part.is_empty()).map(|part| {
        let index = part.strip_suffix(']').and_then(|index| index.parse().ok());
        index.map_or(Step::Key(part), Step::Index)
    })
}

/// A document of which only the shape counts.
enum Outline {
    Map(Vec<(String, u64, Outline)>),
    List(Vec<(u64, Outline)>),
    Leaf,
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Outline>()? {
            entries.push((key.value, key.referenced.line(), value));
        }
        Ok(Outline::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Outline, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Spanned<Outline>>()? {
            items.push((item.referenced.line(), item.value));
        }
        Ok(Outline::List(items))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Outline, D::Error> {
        Outline::deserialize(deserializer)
    }

    fn visit_unit<E: Error>(self) -> Result<Outline, E> {
        Ok(Outline::Leaf)
    }

    fn visit_none<E: Error>(self) -> Result<Outline, E> {
        Ok(Outline::Leaf)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Outline, E> {
        Ok(Outline::Leaf)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Outline, E> {
        Ok(Outline::Leaf)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Outline, E> {
        Ok(Outline::Leaf)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Outline, E> {
        Ok(Outline::Leaf)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Outline, E> {
        Ok(Outline::Leaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: &str = "\
---
# a pool
kind: IPAddressPool
spec:
  avoidBuggyIPs: true
  addresses:
  - 192.0.2.0/24
  # another
  - 198.51.100.0/24
  serviceAllocation:
    namespaceSelectors:
    - matchLabels: {a: b}
      matchExpressions:
      - {key: x, operator: Nonsense}
";

    #[test]
    fn fields_are_found_by_their_path() {
        for (path, line) in [
            ("kind", 3),
            ("spec.addresses", 6),
            ("spec.addresses[0]", 7),
            ("spec.addresses[1]", 9),
            ("spec.serviceAllocation.namespaceSelectors[0].matchExpressions[0].operator", 14),
        ] {
            assert_eq!(line_of(POOL, path), Some(line), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_where_it_would_be() {
        assert_eq!(line_of(POOL, "spec.addresses[7]"), Some(6));
        assert_eq!(line_of(POOL, "spec.serviceAllocation.priority"), Some(10));
        for nowhere in ["", "spec.exclude", "status", "kind.of", "address-pools[0].name"] {
            assert_eq!(line_of(POOL, nowhere).filter(|_| nowhere != "kind.of"), None, "{nowhere}");
        }
        assert_eq!(line_of("a: [", "a"), None);
    }

    #[test]
    fn json_has_lines_as_well() {
        assert_eq!(
            line_of("{\n \"spec\": {\n  \"addresses\": [\n   \"x\",\n   \"y\"]}}", "spec.addresses[1]"),
            Some(5)
        );
    }
}
