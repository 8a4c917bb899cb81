//! From the text of an event to the columns that its members belong to.

use std::collections::HashMap;

use super::column::Column;
use super::observer::{Observer, Room};
use crate::data::Members;
use crate::limits::COLUMNS;

/// The members of objects, and the columns that they are.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    root: Node,
    columns: Vec<(Vec<String>, Observer)>,
}

/// The members that objects at one place were seen to have.
#[derive(Debug, Default)]
struct Node {
    members: Vec<Member>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug)]
struct Member {
    name: String,
    column: usize,
    /// Where the member was seen to be an object itself.
    node: Option<Box<Node>>,
}

impl Tree {
    /// Looks at one event.
    ///
    /// # Errors
    /// A sentence, when there are too many columns.
    pub(crate) fn observe(&mut self, text: &str, room: &mut Room) -> Result<(), String> {
        observe(&mut self.root, &mut self.columns, &[], text, room)
    }

    /// What was found in all `rows`.
    pub(crate) fn finish(self, rows: u64) -> Vec<Column> {
        let mut objects = vec![false; self.columns.len()];
        mark_objects(&self.root, &mut objects);
        let columns = self.columns.into_iter().zip(objects);
        columns
            // An object is its members; a null in its place is missing from each of them.
            .filter(|((_, observer), is_object)| !*is_object || observer.is_present())
            .map(|((path, mut observer), is_object)| {
                if is_object {
                    observer.object();
                }
                observer.finish(path, rows)
            })
            .collect()
    }
}

fn observe(
    node: &mut Node,
    columns: &mut Vec<(Vec<String>, Observer)>,
    path: &[String],
    text: &str,
    room: &mut Room,
) -> Result<(), String> {
    let members: Members<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    for (position, (name, value)) in members.0.into_iter().enumerate() {
        let at = node.find(&name, position, path, columns)?;
        let member = &mut node.members[at];
        if value.get().starts_with('{') {
            let inner: Vec<String> = columns[member.column].0.clone();
            observe(member.node.get_or_insert_default(), columns, &inner, value.get(), room)?;
        } else {
            columns[member.column].1.observe(value.get(), room);
        }
    }
    Ok(())
}

impl Node {
    /// The member of this name, made where there is none. It is mostly where it was in the last object.
    fn find(
        &mut self,
        name: &str,
        position: usize,
        path: &[String],
        columns: &mut Vec<(Vec<String>, Observer)>,
    ) -> Result<usize, String> {
        if self.members.get(position).is_some_and(|member| member.name == name) {
            return Ok(position);
        }
        if let Some(at) = self.by_name.get(name) {
            return Ok(*at);
        }
        if columns.len() >= COLUMNS {
            return Err(format!(
                "brings more than {COLUMNS} members to the objects of this file; where names are values, write lists"
            ));
        }
        let path: Vec<String> = path.iter().cloned().chain([name.to_owned()]).collect();
        columns.push((path, Observer::default()));
        self.members.push(Member {
            name: name.to_owned(),
            column: columns.len() - 1,
            node: None,
        });
        self.by_name.insert(name.to_owned(), self.members.len() - 1);
        Ok(self.members.len() - 1)
    }
}

fn mark_objects(node: &Node, objects: &mut [bool]) {
    for member in &node.members {
        if let Some(inner) = &member.node {
            objects[member.column] = true;
            mark_objects(inner, objects);
        }
    }
}
