//! Findings to one self-contained page.
//!
//! [`html`] turns a [`Page`] into one HTML file that needs no network, no font and no script. All
//! text is escaped, whatever it holds. The look lies in two files, `templates/page.html` and
//! `templates/page.css`; pages differ only in what is put into a [`Page`].
//!
//! Numbers are shown with four significant digits, whole numbers in full; the links under the
//! figures hold every digit.

mod curves;
mod download;
mod error;
pub mod number;
mod page;
mod picture;
mod table;

pub use error::ReportError;
pub use page::{Page, html};
pub use picture::png;
