//! Findings to one self-contained page.
//!
//! [`html`] turns a [`Page`] into one HTML file that needs no network, no font and no script. All
//! text is escaped, whatever it holds. The look lies in two files, `templates/page.html` and
//! `templates/page.css`; pages differ only in what is put into a [`Page`]. Cards alone bring a script
//! (`templates/cards.js`, the only one that the page allows, by its digest) to filter and sort them; where it does not run, the first are there.
//!
//! Numbers are shown with four significant digits, whole numbers in full; the links under the
//! figures hold every digit.

mod cards;
mod curves;
mod download;
mod error;
mod heat;
pub mod number;
mod page;
mod picture;
mod sheet;
mod table;
mod tree;

pub use error::ReportError;
pub use page::{Link, Page, html};
pub use picture::png;
