//! Which columns stay out of the events, and which one is the label.
//!
//! Owns: the names as the user gave them, and their meaning as a tree that follows the nesting of objects.

/// Columns by name. A name that begins with `/` and is no column's name is a JSON pointer into nested objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) out: Vec<String>,
    pub(crate) label: Option<String>,
}

/// What becomes of a member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is left out.
    Out,
    /// It is taken out and given beside the event.
    Label,
    /// Something within it is; the rest stays.
    Within(Fates),
}

/// The members of one object that do not simply stay, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fates(Vec<(String, Fate)>);

impl Fates {
    /// The fates of a row whose columns are named so that `is_column` knows them.
    pub(crate) fn of(choice: &Choice, is_column: impl Fn(&str) -> bool) -> Self {
        let mut fates = Self::default();
        let out = choice.out.iter().map(|name| (name, Fate::Out));
        let label = choice.label.iter().map(|name| (name, Fate::Label));
        // The label last: where it is also left out, it is still taken for the label.
        for (name, fate) in out.chain(label) {
            let steps = if is_column(name) {
                vec![name.clone()]
            } else {
                steps(name)
            };
            fates.put(&steps, fate);
        }
        fates
    }

    fn put(&mut self, steps: &[String], fate: Fate) {
        let Some((first, rest)) = steps.split_first() else {
            return;
        };
        let at = match self.0.iter().position(|(name, _)| name == first) {
            Some(at) => at,
            None => {
                self.0.push((first.clone(), Fate::Within(Self::default())));
                self.0.len() - 1
            }
        };
        if rest.is_empty() {
            self.0[at].1 = fate;
        } else if let Fate::Within(inner) = &mut self.0[at].1 {
            inner.put(rest, fate);
        }
    }

    /// What becomes of a member; `None`: it stays.
    pub(crate) fn of_member(&self, name: &str) -> Option<&Fate> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, fate)| fate)
    }

    /// Whether everything stays.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The steps of a JSON pointer (RFC 6901); another text is one step.
pub(crate) fn steps(pointer: &str) -> Vec<String> {
    match pointer.strip_prefix('/') {
        Some(rest) => rest
            .split('/')
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect(),
        None => vec![pointer.to_owned()],
    }
}

/// The JSON pointer of a member of what `parent` points to.
pub(crate) fn child(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The label of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The row has no such member.
    #[default]
    Nothing,
    /// The member is there; `None` where it is null.
    Label(Option<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(out: &[&str], label: Option<&str>) -> Choice {
        Choice {
            out: out.iter().map(|name| (*name).to_owned()).collect(),
            label: label.map(str::to_owned),
        }
    }

    #[test]
    fn a_pointer_reaches_into_objects_and_a_name_does_not() {
        let fates = Fates::of(&choice(&["a", "/b/c~1d"], Some("/b/e")), |_| false);
        assert_eq!(fates.of_member("a"), Some(&Fate::Out));
        let Some(Fate::Within(inner)) = fates.of_member("b") else {
            panic!("something within `b` is left out");
        };
        assert_eq!(inner.of_member("c/d"), Some(&Fate::Out));
        assert_eq!(inner.of_member("e"), Some(&Fate::Label));
        assert_eq!(fates.of_member("c"), None);
    }

    #[test]
    fn a_column_whose_name_looks_like_a_pointer_is_that_column() {
        let fates = Fates::of(&choice(&["/b/c"], None), |name| name == "/b/c");
        assert_eq!(fates.of_member("/b/c"), Some(&Fate::Out));
        assert_eq!(fates.of_member("b"), None);
    }

    #[test]
    fn a_label_that_is_also_left_out_is_the_label() {
        let fates = Fates::of(&choice(&["y", "o"], Some("y")), |_| false);
        assert_eq!(fates.of_member("y"), Some(&Fate::Label));
    }

    #[test]
    fn a_pointer_to_a_member_leads_back_to_it() {
        assert_eq!(steps(&child(&child("", "a/b"), "~c")), ["a/b", "~c"]);
    }
}
