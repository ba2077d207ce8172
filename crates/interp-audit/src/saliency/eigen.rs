//! Eigen-CAM.

use candle_core::{Device, Tensor};
use interp_net::finding::{Entry, build};
use interp_net::{Keep, Mode};
use nalgebra::{DMatrix, SymmetricEigen};

use super::class_activation::channels_last;
use super::{Attribution, Channels, Method, NoSettings, Question};
use crate::Result;
use crate::pass::numbers;

/// How far cells lie along the direction in which a layer's cells differ most (Muhammad and Yeasin 2020, arXiv 2008.00299), from their
/// mean. It says what the layer sees, for whatever output. Its sign is that which goes with the sum over channels.
struct EigenCam;

pub(super) const ENTRY: Entry<dyn Method> = Entry {
    name: "eigen_cam",
    summary: "the first principal component of a layer's cells, whatever the output",
    example: "kind = \"eigen_cam\"\n",
    build: |section| build(section, |NoSettings {}| Box::new(EigenCam)),
    schema: || schemars::schema_for!(NoSettings),
};

impl Method for EigenCam {
    fn attribute(&self, question: &Question<'_>) -> Result<Attribution> {
        let (net, layer) = (question.net, question.layer);
        let values = question.in_parts(1, |_, x, _| {
            let tape = net.run_to(x, layer, Mode::Eval, &Keep::Output)?;
            let maps = channels_last(tape.at(&net.graph, layer)?)?; // (N, h, w, C)
            let (n, h, w, c) = maps.dims4()?;
            let all: Vec<f64> = numbers(&maps)?.chunks(h * w * c).flat_map(|cells| first_component(cells, c)).collect();
            question.like(Tensor::from_vec(all, (n, h, w), &Device::Cpu)?)
        })?;
        Ok(Attribution::of(values, Channels::Sum))
    }
}

/// The first principal component of `cells`, rows of `channels` numbers: one number of each.
fn first_component(cells: &[f64], channels: usize) -> Vec<f64> {
    let rows = cells.len() / channels.max(1);
    let mut cells = DMatrix::from_row_slice(rows, channels, cells);
    let sums: Vec<f64> = cells.row_iter().map(|row| row.sum()).collect();
    for mut column in cells.column_iter_mut() {
        let mean = column.mean();
        column.add_scalar_mut(-mean);
    }
    // Of the two products of the matrix with itself the smaller; both have its singular values.
    let along = if rows <= channels {
        let eigen = SymmetricEigen::new(&cells * cells.transpose());
        let at = eigen.eigenvalues.imax();
        eigen.eigenvectors.column(at) * eigen.eigenvalues[at].max(0.0).sqrt()
    } else {
        let eigen = SymmetricEigen::new(cells.transpose() * &cells);
        &cells * eigen.eigenvectors.column(eigen.eigenvalues.imax())
    };
    let mean = sums.iter().sum::<f64>() / rows.max(1) as f64;
    let with_sums: f64 = along.iter().zip(&sums).map(|(along, sum)| along * (sum - mean)).sum();
    let sign = if with_sums < 0.0 { -1.0 } else { 1.0 };
    along.iter().map(|along| sign * along).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Cells at 0, 1 and 5 along (3, 4): from their mean -2, -1 and 3, times 5. With the signs turned the component turns too.
    #[test]
    fn cells_on_a_line() {
        for sign in [1.0, -1.0] {
            let cells: Vec<f64> = [0.0, 1.0, 5.0].iter().flat_map(|t| [3.0 * t * sign, 4.0 * t * sign]).collect();
            let found = first_component(&cells, 2);
            let expected = [-10.0, -5.0, 15.0].map(|along| along * sign);
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        }
        // One cell more than channels, and one channel more than cells.
        let wide = first_component(&[0.0, 0.0, 0.0, 3.0, 4.0, 0.0], 3);
        assert!((wide[1] - 2.5).abs() < 1e-9 && (wide[0] + 2.5).abs() < 1e-9);
    }
}
