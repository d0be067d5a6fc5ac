//! Which network interfaces an advertisement is about: names and patterns.

use alloc::{string::String, vec::Vec};
use core::{fmt, iter::Peekable, str::Chars};

/// A choice of interfaces by name: patterns of which any may match, and patterns of which none may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// As they were written, sorted; what excludes starts with `!`.
    written: Vec<String>,
    included: Vec<Pattern>,
    excluded: Vec<Pattern>,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is nothing to match.
    #[error("is empty: write the name of an interface or a pattern such as \"eth*\"")]
    Empty,
    /// An interface cannot have such a name.
    #[error("has {0:?}, which is in the name of no interface")]
    Character(char),
    /// A set of characters has no end.
    #[error("has a [ without its ]")]
    Open,
    /// A set without characters.
    #[error("has [] without characters in it")]
    NoCharacters,
    /// A range of characters from a later one to an earlier one.
    #[error("has the range {0}-{1}, which goes backwards")]
    Backwards(char, char),
}

impl Interfaces {
    /// Reads a list of names and patterns, in which `*` stands for any characters, `?` for one, `[a-c]` for one of
    /// these and `[!a-c]` for another one. An entry that starts with `!` excludes what it matches; a list of only
    /// such entries means all others, and an empty one means all.
    ///
    /// # Errors
    /// The number of the first entry that is no pattern, and why.
    pub fn parse<T: AsRef<str>>(list: &[T]) -> Result<Self, (usize, PatternError)> {
        let mut interfaces = Self::default();
        for (index, entry) in list.iter().map(AsRef::as_ref).enumerate() {
            let (patterns, text) = match entry.strip_prefix('!') {
                Some(text) => (&mut interfaces.excluded, text),
                None => (&mut interfaces.included, entry),
            };
            patterns.push(Pattern::parse(text).map_err(|error| (index, error))?);
            interfaces.written.push(entry.into());
        }
        interfaces.written.sort();
        interfaces.written.dedup();
        Ok(interfaces)
    }

    /// Whether an interface of this name is meant.
    #[must_use]
    pub fn admit(&self, name: &str) -> bool {
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
        (self.included.is_empty() || any(&self.included)) && !any(&self.excluded)
    }

    /// Whether all interfaces are meant.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.written.is_empty()
    }
}

/// As it was written, without repetitions.
impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written.join(", "))
    }
}

/// A glob.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    One(char),
    /// `?`
    Any,
    /// `*`
    Many,
    /// `[a-c]`, or with true `[!a-c]`
    Set(bool, Vec<(char, char)>),
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, PatternError> {
        let mut chars = text.chars().peekable();
        let mut parts = Vec::new();
        while let Some(c) = chars.next() {
            let part = match c {
                '*' => Part::Many,
                '?' => Part::Any,
                '[' => set(&mut chars)?,
                // The kernel's rule.
                '/' | ':' => return Err(PatternError::Character(c)),
                c if c.is_whitespace() => return Err(PatternError::Character(c)),
                c => Part::One(c),
            };
            // Two of these mean one, and cost more.
            if part != Part::Many || parts.last() != Some(&Part::Many) {
                parts.push(part);
            }
        }
        if parts.is_empty() { Err(PatternError::Empty) } else { Ok(Self(parts)) }
    }

    /// Looks back to the last `*` only: what matched before it may stay as it is.
    fn matches(&self, name: &str) -> bool {
        let parts = &self.0;
        let (mut at, mut rest) = (0, name.chars());
        let mut again: Option<(usize, Chars<'_>)> = None;
        loop {
            let mut ahead = rest.clone();
            match (parts.get(at), ahead.next()) {
                (Some(Part::Many), _) => {
                    at += 1;
                    again = Some((at, rest.clone()));
                }
                (None, None) => return true,
                (Some(part), Some(c)) if part.admits(c) => {
                    at += 1;
                    rest = ahead;
                }
                _ => {
                    // The last `*` takes one character more.
                    let Some((behind, from)) = &mut again else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (at, rest) = (*behind, from.clone());
                }
            }
        }
    }
}

impl Part {
    fn admits(&self, c: char) -> bool {
        match self {
            Self::One(one) => *one == c,
            Self::Any | Self::Many => true,
            Self::Set(others, ranges) => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *others
            }
        }
    }
}

/// The rest of a set, after its `[`. A `]` that comes first is one of the characters.
fn set(chars: &mut Peekable<Chars<'_>>) -> Result<Part, PatternError> {
    let others = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    loop {
        let from = match chars.next() {
            None if ranges.is_empty() => return Err(PatternError::NoCharacters),
            None => return Err(PatternError::Open),
            Some(']') if !ranges.is_empty() => return Ok(Part::Set(others, ranges)),
            // Nothing but it: meant as an empty set.
            Some(']') if !chars.clone().any(|c| c == ']') => return Err(PatternError::NoCharacters),
            Some(c) => c,
        };
        let mut ahead = chars.clone();
        let to = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(to)) if to != ']' => {
                *chars = ahead;
                to
            }
            _ => from,
        };
        if to < from {
            return Err(PatternError::Backwards(from, to));
        }
        ranges.push((from, to));
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use proptest::prelude::*;

    use super::*;

    fn admits(list: &[&str], name: &str) -> bool {
        Interfaces::parse(list).unwrap().admit(name)
    }

    #[test]
    fn names_and_patterns() {
        for (pattern, yes, no) in [
            ("eth0", vec!["eth0"], vec!["eth1", "eth00", "eth", "xeth0"]),
            ("eth*", vec!["eth", "eth0", "eth0.5"], vec!["xeth0", "et", "ens3"]),
            ("*", vec!["", "eth0"], vec![]),
            ("**", vec!["", "eth0"], vec![]),
            ("*.5", vec!["eth0.5", "bond0.5.5", ".5"], vec!["eth0.50", "eth0"]),
            ("en?s*f0", vec!["enps0f0", "en1s2f0f0"], vec!["ens0f0", "enps0f1"]),
            ("eth?", vec!["eth0"], vec!["eth", "eth10"]),
            ("eth[02-4]", vec!["eth0", "eth2", "eth4"], vec!["eth1", "eth5", "eth", "eth22"]),
            ("eth[!0-2]", vec!["eth3", "ethx"], vec!["eth0", "eth2", "eth"]),
            ("eth[^0]", vec!["eth1"], vec!["eth0"]),
            ("a[]x]b", vec!["a]b", "axb"], vec!["ab", "a[b"]),
            ("a[x-]b", vec!["axb", "a-b"], vec!["ayb"]),
            ("a[*]", vec!["a*"], vec!["ab", "a"]),
            ("*a*b*c", vec!["abc", "aabbcc", "xaybzc"], vec!["acb", "ab", "abcd"]),
        ] {
            for name in yes {
                assert!(admits(&[pattern], name), "{pattern} is to match {name:?}");
            }
            for name in no {
                assert!(!admits(&[pattern], name), "{pattern} is not to match {name:?}");
            }
        }
    }

    #[test]
    fn any_that_includes_and_none_that_excludes() {
        assert!(admits(&[], "eth0"));
        assert!(admits(&["eth0", "bond*"], "bond1"));
        assert!(!admits(&["eth0", "bond*"], "eth1"));
        assert!(admits(&["!eth1"], "eth0"));
        assert!(!admits(&["!eth1"], "eth1"));
        assert!(admits(&["eth*", "!eth*.5", "!eth9"], "eth0"));
        assert!(!admits(&["eth*", "!eth*.5", "!eth9"], "eth0.5"));
        assert!(!admits(&["!eth9", "eth*"], "eth9"));
        assert!(!admits(&["eth0", "!*"], "eth0"));
    }

    #[test]
    fn it_is_shown_as_it_was_written() {
        let interfaces = Interfaces::parse(&["eth0", "!x*", "eth0", "a?"]).unwrap();
        assert_eq!(interfaces.to_string(), "!x*, a?, eth0");
        assert!(!interfaces.is_all());
        assert!(Interfaces::default().is_all());
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_place() {
        use PatternError::{Backwards, Character, Empty, NoCharacters, Open};
        for (text, error) in [
            ("", Empty),
            ("!", Empty),
            ("eth 0", Character(' ')),
            ("a/b", Character('/')),
            ("eth0:1", Character(':')),
            ("eth[0", Open),
            ("eth[", NoCharacters),
            ("eth[]", NoCharacters),
            ("eth[!]", NoCharacters),
            ("eth[9-0]", Backwards('9', '0')),
        ] {
            assert_eq!(Interfaces::parse(&["ok", text]), Err((1, error)), "{text:?}");
        }
    }

    /// The plain definition, which may take long.
    fn slowly(parts: &[Part], name: &[char]) -> bool {
        match (parts, name) {
            ([], []) => true,
            ([Part::Many, rest @ ..], _) => (0..=name.len()).any(|taken| slowly(rest, &name[taken..])),
            ([part, rest @ ..], [c, behind @ ..]) => part.admits(*c) && slowly(rest, behind),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_means_what_the_definition_says(pattern in "[ab*?]{1,8}", name in "[abc]{0,8}") {
            let pattern = Pattern::parse(&pattern).unwrap();
            let chars: Vec<char> = name.chars().collect();
            prop_assert_eq!(pattern.matches(&name), slowly(&pattern.0, &chars));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,12}", name in "\\PC{0,12}") {
            if let Ok(interfaces) = Interfaces::parse(&[text]) {
                let _ = interfaces.admit(&name);
            }
        }
    }
}
