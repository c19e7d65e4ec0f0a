//! Text to item: a classifier that a district trains on its own history. It says which of the district's labels a
//! message belongs to, how sure it is, and which words spoke for it; a person decides where it is not sure enough.
//!
//! Pure: no clock, no files, no network; models are read from and written to what the caller gives. The same records
//! and options make the same bytes, whatever the number of cores. How it works and how well: the crate's README.

pub mod correct;
pub mod evaluate;
pub mod features;
pub mod folds;
mod format;
pub mod model;
pub mod svm;
pub mod text;
pub mod train;

pub use model::{Evidence, Field, Guess, Model, Scratch};
pub use train::{Options, train};

/// One message of the district's history, with the label that a person settled on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Short text; may not be empty.
    pub subject: String,
    /// Long text; empty if there is none.
    pub detail: String,
    /// The label.
    pub label: String,
}

/// Why a model cannot be made, read or changed. No variant holds text of a message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Training needs something to choose between.
    #[error("training needs at least two labels, found {0}")]
    TooFewLabels(usize),
    /// The file does not start like a model.
    #[error("not a model of jianghan classify")]
    NotAModel,
    /// A model, but of a later or earlier form.
    #[error("a model of version {0}; this program reads version {expected}", expected = format::VERSION)]
    Version(u32),
    /// A model that was cut short or changed.
    #[error("a damaged model: {0}")]
    Damaged(&'static str),
    /// A correction names a label that the model does not know; counted from 1.
    #[error("record {0}: the model does not know its label; train anew")]
    UnknownLabel(usize),
    /// More labels than the form holds.
    #[error("{0} labels; at most {max} fit a model", max = format::MAX_CLASSES)]
    TooManyLabels(usize),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
