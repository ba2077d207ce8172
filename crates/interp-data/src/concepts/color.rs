//! Colors of comparable lightness: OKLCH (Ottosson, 2020, "A perceptual color space for image
//! processing") to sRGB (IEC 61966-2-1), with functions that give the same bits on every machine.

/// sRGB in [0, 1].
pub(super) type Rgb = [f32; 3];

/// The color of this lightness in [0, 1] and hue in degrees with at most this chroma: less where
/// sRGB cannot show as much.
pub(super) fn rgb(lightness: f64, chroma: f64, hue: f64) -> Rgb {
    let radians = hue * (core::f64::consts::PI / 180.0);
    let (a, b) = (libm::cos(radians), libm::sin(radians));
    let shown = shown_chroma(lightness, chroma, a, b);
    linear(lightness, shown * a, shown * b).map(encode)
}

/// The largest chroma up to `chroma` inside sRGB along the direction (a, b), to 1/4096 of `chroma`.
fn shown_chroma(lightness: f64, chroma: f64, a: f64, b: f64) -> f64 {
    let inside = |c: f64| linear(lightness, c * a, c * b).iter().all(|v| (0.0..=1.0).contains(v));
    if inside(chroma) {
        return chroma;
    }
    let (mut low, mut high) = (0.0, chroma);
    for _ in 0..12 {
        let middle = (low + high) / 2.0;
        if inside(middle) { low = middle } else { high = middle }
    }
    low
}

/// OKLAB to linear sRGB.
fn linear(lightness: f64, a: f64, b: f64) -> [f64; 3] {
    let cube = |v: f64| v * v * v;
    let l = cube(lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b);
    let m = cube(lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b);
    let s = cube(lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b);
    [
        4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s,
        -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s,
        -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s,
    ]
}

/// Linear sRGB to sRGB.
fn encode(value: f64) -> f32 {
    let encoded = if value <= 0.003_130_8 { 12.92 * value } else { 1.055 * libm::pow(value, 1.0 / 2.4) - 0.055 };
    encoded as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of CSS Color 4 (W3C), section on `oklch()`, as 8-bit sRGB, and white.
    #[test]
    fn colors_have_their_published_coordinates() {
        let published = [
            (0.401_01, 0.123_32, 21.555, [125, 35, 41]),
            (0.596_86, 0.156_19, 49.769_4, [198, 93, 7]),
            (0.651_25, 0.131_38, 104.097, [157, 147, 24]),
            (0.660_16, 0.155_46, 134.231, [104, 166, 57]),
            (0.723_22, 0.124_03, 247.996, [98, 172, 239]),
            (1.0, 0.0, 0.0, [255, 255, 255]),
        ];
        for (lightness, chroma, hue, expected) in published {
            let shown = rgb(lightness, chroma, hue).map(|value| (value * 255.0).round() as i32);
            assert!(shown.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1), "{shown:?} is not {expected:?}");
        }
    }

    #[test]
    fn every_color_is_shown_inside_srgb() {
        for hue in 0..360 {
            for lightness in 0..=20 {
                let color = rgb(f64::from(lightness) / 20.0, 0.4, f64::from(hue));
                assert!(color.iter().all(|v| (-1e-6..=1.0 + 1e-6).contains(v)), "{lightness} {hue} {color:?}");
            }
        }
    }
}
