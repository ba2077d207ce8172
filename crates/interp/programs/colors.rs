//! Numbers as colors.

use interp_data::Info;

/// Red, green and blue of a pixel; gray has all alike.
pub(super) fn color_of(pixel: &[f32]) -> [f32; 3] {
    [0, 1, 2].map(|channel| pixel.get(channel).or(pixel.first()).copied().unwrap_or(0.0))
}

/// White for 0, red above and blue below, full at the largest absolute value.
pub(super) fn heat(values: &[f32]) -> Vec<[f32; 3]> {
    let largest = values.iter().fold(f32::MIN_POSITIVE, |largest, v| largest.max(v.abs()));
    let color = |&value: &f32| {
        let (share, rest) = (value.abs() / largest, 1.0 - value.abs() / largest);
        if value >= 0.0 { [1.0 - 0.2 * share, rest, rest] } else { [rest, rest, 1.0 - 0.2 * share] }
    };
    values.iter().map(color).collect()
}

/// The bytes of colors.
pub(super) fn bytes(colors: impl IntoIterator<Item = [f32; 3]>) -> Vec<u8> {
    colors.into_iter().flatten().map(|value| (255.0 * value.clamp(0.0, 1.0)).round() as u8).collect()
}

/// Pixel values in [0, 1] of a picture as the network sees it, (H, W, C).
pub(super) fn denormalized(picture: &[f32], info: &Info) -> Vec<f32> {
    let channels = info.channels;
    let pixel = |(at, value): (usize, &f32)| value * info.std[at % channels] + info.mean[at % channels];
    picture.iter().enumerate().map(pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_is_white_at_zero_and_full_at_the_largest() {
        assert_eq!(heat(&[0.0, 2.0, -2.0]), [[1.0, 1.0, 1.0], [0.8, 0.0, 0.0], [0.0, 0.0, 0.8]]);
    }
}
