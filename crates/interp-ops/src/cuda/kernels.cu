// The kernels of the operations, for numbers of type float that lie channels-last: number (pixel, channel) of a tensor is
// at pixel * channels + channel, pixels being counted through the batch: image, row, column.
//
// Sums go over fixed chunks first and over chunks then, in an order that the shape alone decides: the same numbers give
// the same bits on every run of a device. The text is compiled without contraction (a * b + c is rounded twice), so that
// one operation has the same bits alone and fused with another, and mostly those of the CPU.

// A block of most kernels: 32 channels of 8 pixels.
#define CHANNELS 32
#define PIXELS 8

// Threads of a block of the kernels that go over numbers or rows.
#define THREADS 256

// ---- one number at a time ----

// The number that this thread treats.
static __device__ size_t number() { return (size_t)blockIdx.x * blockDim.x + threadIdx.x; }

extern "C" __global__ void relu(size_t count, const float *x, float *y)
{
    size_t i = number();
    if (i < count)
        y[i] = x[i] <= 0.0f ? 0.0f : x[i];
}

extern "C" __global__ void relu_backward(size_t count, const float *y, const float *grad, float *out)
{
    size_t i = number();
    if (i < count)
        out[i] = y[i] <= 0.0f ? 0.0f : grad[i];
}

extern "C" __global__ void add(size_t count, const float *a, const float *b, float *sum)
{
    size_t i = number();
    if (i < count)
        sum[i] = a[i] + b[i];
}

// ---- one channel of a pixel at a time ----

// The channel that this thread treats; the last block reaches beyond the last channel.
static __device__ size_t channel_here() { return (size_t)blockIdx.y * CHANNELS + threadIdx.x; }

// The first pixel that this thread treats, and how far the next one is.
static __device__ size_t first_pixel() { return (size_t)blockIdx.x * PIXELS + threadIdx.y; }
static __device__ size_t next_pixel() { return (size_t)gridDim.x * PIXELS; }

extern "C" __global__ void add_bias(size_t pixels, size_t channels, const float *x, const float *bias, float *y)
{
    size_t channel = channel_here();
    if (channel >= channels)
        return;
    float b = bias[channel];
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel())
        y[pixel * channels + channel] = x[pixel * channels + channel] + b;
}

extern "C" __global__ void on_off(size_t pixels, size_t channels, const float *x, float *y)
{
    size_t channel = channel_here();
    if (channel >= channels)
        return;
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel()) {
        float v = x[pixel * channels + channel];
        y[pixel * 2 * channels + channel] = v;
        y[pixel * 2 * channels + channels + channel] = -v;
    }
}

// `channels` are those of the input.
extern "C" __global__ void on_off_backward(size_t pixels, size_t channels, const float *grad, float *out)
{
    size_t channel = channel_here();
    if (channel >= channels)
        return;
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel()) {
        const float *both = grad + pixel * 2 * channels + channel;
        out[pixel * channels + channel] = both[0] - both[channels];
    }
}

// A pixel as image, row and column of a map of this height and width.
struct Place {
    size_t image, row, column;
};

static __device__ Place place(size_t pixel, size_t height, size_t width)
{
    Place at;
    at.image = pixel / (height * width);
    at.row = pixel / width % height;
    at.column = pixel % width;
    return at;
}

// What a shortcut of residual networks needs to know: sizes of input and output; `side` channels of zeros before the
// input's.
struct Shortcut {
    size_t images, channels, height, width;
    size_t out_channels, out_height, out_width;
    size_t side, stride;
};

// A thread for a channel of an output pixel.
extern "C" __global__ void pad_shortcut(Shortcut s, const float *x, float *y)
{
    size_t channel = channel_here(), pixels = s.images * s.out_height * s.out_width;
    if (channel >= s.out_channels)
        return;
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel()) {
        Place at = place(pixel, s.out_height, s.out_width);
        size_t from = (at.image * s.height + at.row * s.stride) * s.width + at.column * s.stride;
        bool inside = channel >= s.side && channel - s.side < s.channels;
        y[pixel * s.out_channels + channel] = inside ? x[from * s.channels + channel - s.side] : 0.0f;
    }
}

// A thread for a channel of an input pixel.
extern "C" __global__ void pad_shortcut_backward(Shortcut s, const float *grad, float *out)
{
    size_t channel = channel_here(), pixels = s.images * s.height * s.width;
    if (channel >= s.channels)
        return;
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel()) {
        Place at = place(pixel, s.height, s.width);
        bool taken = at.row % s.stride == 0 && at.column % s.stride == 0;
        size_t to = (at.image * s.out_height + at.row / s.stride) * s.out_width + at.column / s.stride;
        out[pixel * s.channels + channel] = taken ? grad[to * s.out_channels + channel + s.side] : 0.0f;
    }
}

// ---- pooling ----

// Sizes of a pooling; pairs are rows, then columns.
struct Pool {
    size_t images, channels;
    size_t input[2], output[2], kernel[2], stride[2], padding[2];
};

struct Range {
    size_t start, end;
};

// The part of the window at `output` that lies within the input along an axis.
static __device__ Range window(const Pool &pool, int axis, size_t output)
{
    size_t start = output * pool.stride[axis], padding = pool.padding[axis];
    size_t end = start + pool.kernel[axis] - padding; // Never below 0: the padding is at most half a window.
    Range range;
    range.start = start > padding ? start - padding : 0;
    range.end = end < pool.input[axis] ? end : pool.input[axis];
    return range;
}

// The windows that see position `input` along an axis.
static __device__ Range windows_on(const Pool &pool, int axis, size_t input)
{
    size_t stride = pool.stride[axis], kernel = pool.kernel[axis];
    size_t padded = input + pool.padding[axis], last = padded / stride + 1;
    Range range;
    range.start = padded + 1 > kernel ? (padded + 1 - kernel + stride - 1) / stride : 0;
    range.end = last < pool.output[axis] ? last : pool.output[axis];
    return range;
}

// A thread for a channel of an output pixel. What is not a number counts as the largest; of equal ones the first wins.
extern "C" __global__ void max_pool(Pool pool, const float *x, float *y, unsigned int *argmax)
{
    size_t channel = channel_here(), pixels = pool.images * pool.output[0] * pool.output[1];
    if (channel >= pool.channels)
        return;
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel()) {
        Place at = place(pixel, pool.output[0], pool.output[1]);
        const float *image = x + at.image * pool.input[0] * pool.input[1] * pool.channels + channel;
        Range rows = window(pool, 0, at.row), columns = window(pool, 1, at.column);
        size_t position = rows.start * pool.input[1] + columns.start;
        float best = image[position * pool.channels];
        for (size_t row = rows.start; row < rows.end; row++) {
            for (size_t column = columns.start; column < columns.end; column++) {
                size_t here = row * pool.input[1] + column;
                float value = image[here * pool.channels];
                if (value > best || value != value) {
                    best = value;
                    position = here;
                }
            }
        }
        y[pixel * pool.channels + channel] = best;
        argmax[pixel * pool.channels + channel] = (unsigned int)position;
    }
}

// A thread for a channel of an image: windows may overlap, and none but it writes there. `outputs` and `inputs` are
// pixels of one image; `out` holds zeros.
extern "C" __global__ void max_pool_backward(size_t images, size_t channels, size_t outputs, size_t inputs,
                                             const unsigned int *argmax, const float *grad, float *out)
{
    size_t channel = channel_here();
    if (channel >= channels)
        return;
    for (size_t image = first_pixel(); image < images; image += next_pixel()) {
        for (size_t pixel = image * outputs; pixel < (image + 1) * outputs; pixel++) {
            size_t position = argmax[pixel * channels + channel];
            if (position < inputs)
                out[(image * inputs + position) * channels + channel] += grad[pixel * channels + channel];
        }
    }
}

// The sum of a rectangle of one channel of an image of this width, times `scale`.
static __device__ float scaled_sum(const float *image, size_t width, size_t channels, Range rows, Range columns,
                                   float scale)
{
    float sum = 0.0f;
    for (size_t row = rows.start; row < rows.end; row++)
        for (size_t column = columns.start; column < columns.end; column++)
            sum += image[(row * width + column) * channels];
    return sum * scale;
}

// A thread for a channel of an output pixel; `scale` is one over the size of a window.
extern "C" __global__ void average_pool(Pool pool, float scale, const float *x, float *y)
{
    size_t channel = channel_here(), pixels = pool.images * pool.output[0] * pool.output[1];
    if (channel >= pool.channels)
        return;
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel()) {
        Place at = place(pixel, pool.output[0], pool.output[1]);
        const float *image = x + at.image * pool.input[0] * pool.input[1] * pool.channels + channel;
        Range rows = window(pool, 0, at.row), columns = window(pool, 1, at.column);
        y[pixel * pool.channels + channel] = scaled_sum(image, pool.input[1], pool.channels, rows, columns, scale);
    }
}

// A thread for a channel of an input pixel.
extern "C" __global__ void average_pool_backward(Pool pool, float scale, const float *grad, float *out)
{
    size_t channel = channel_here(), pixels = pool.images * pool.input[0] * pool.input[1];
    if (channel >= pool.channels)
        return;
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel()) {
        Place at = place(pixel, pool.input[0], pool.input[1]);
        const float *image = grad + at.image * pool.output[0] * pool.output[1] * pool.channels + channel;
        Range rows = windows_on(pool, 0, at.row), columns = windows_on(pool, 1, at.column);
        out[pixel * pool.channels + channel] = scaled_sum(image, pool.output[1], pool.channels, rows, columns, scale);
    }
}

// A thread for a channel of an image; `pixels` are those of one image.
extern "C" __global__ void global_average(size_t images, size_t channels, size_t pixels, const float *x, float *y)
{
    size_t channel = channel_here();
    if (channel >= channels)
        return;
    for (size_t image = first_pixel(); image < images; image += next_pixel()) {
        double sum = 0.0;
        for (size_t pixel = image * pixels; pixel < (image + 1) * pixels; pixel++)
            sum += x[pixel * channels + channel];
        y[image * channels + channel] = (float)(sum / pixels);
    }
}

// A thread for a channel of a pixel; `scale` is one over the pixels of an image.
extern "C" __global__ void global_average_backward(size_t images, size_t channels, size_t pixels, float scale,
                                                   const float *grad, float *out)
{
    size_t channel = channel_here();
    if (channel >= channels)
        return;
    for (size_t pixel = first_pixel(); pixel < images * pixels; pixel += next_pixel())
        out[pixel * channels + channel] = grad[pixel / pixels * channels + channel] * scale;
}

// ---- sums over pixels: a block for 32 channels of a chunk of pixels, then a block for 32 channels of all chunks ----

// The sum over the threads of a channel, the same for all of them. All threads of the block must call it.
template <typename T> static __device__ T over_pixels(T value)
{
    __shared__ T terms[PIXELS][CHANNELS];
    __syncthreads(); // Whoever called before has read.
    terms[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    T sum = 0;
    for (int i = 0; i < PIXELS; i++)
        sum += terms[i][threadIdx.x];
    return sum;
}

// The pixels of the chunk that this block treats.
static __device__ Range chunk_here(size_t pixels, size_t chunk)
{
    Range range;
    range.start = blockIdx.x * chunk;
    range.end = range.start + chunk < pixels ? range.start + chunk : pixels;
    return range;
}

// The sum of every channel of a chunk, to `parts` (chunk, channel).
extern "C" __global__ void chunk_sums(size_t pixels, size_t channels, size_t chunk, const float *x, float *parts)
{
    size_t channel = channel_here();
    bool inside = channel < channels;
    Range here = chunk_here(pixels, chunk);
    float sum = 0.0f;
    for (size_t pixel = here.start + threadIdx.y; inside && pixel < here.end; pixel += PIXELS)
        sum += x[pixel * channels + channel];
    sum = over_pixels(sum);
    if (inside && threadIdx.y == 0)
        parts[blockIdx.x * channels + channel] = sum;
}

// The sum of every channel over its parts.
static __device__ double join(size_t chunks, size_t channels, size_t channel, const float *parts)
{
    double sum = 0.0;
    for (size_t part = threadIdx.y; channel < channels && part < chunks; part += PIXELS)
        sum += parts[part * channels + channel];
    return over_pixels(sum);
}

extern "C" __global__ void join_sums(size_t chunks, size_t channels, const float *parts, float *sums)
{
    size_t channel = channel_here();
    double sum = join(chunks, channels, channel, parts);
    if (channel < channels && threadIdx.y == 0)
        sums[channel] = (float)sum;
}

// ---- batch normalization ----

// Mean and sum of squared deviations of every channel of a chunk. Sums are taken around the first pixel and then around
// the mean, so that no digits are lost where a channel's mean is large beside its deviation.
extern "C" __global__ void chunk_moments(size_t pixels, size_t channels, size_t chunk, const float *x, double *means,
                                         double *squares)
{
    size_t channel = channel_here();
    bool inside = channel < channels;
    Range here = chunk_here(pixels, chunk);
    float first = inside ? x[here.start * channels + channel] : 0.0f, sum = 0.0f, square = 0.0f;
    for (size_t pixel = here.start + threadIdx.y; inside && pixel < here.end; pixel += PIXELS)
        sum += x[pixel * channels + channel] - first;
    double mean = first + (double)over_pixels(sum) / (here.end - here.start);
    float center = (float)mean;
    for (size_t pixel = here.start + threadIdx.y; inside && pixel < here.end; pixel += PIXELS) {
        float deviation = x[pixel * channels + channel] - center;
        square += deviation * deviation;
    }
    square = over_pixels(square);
    if (inside && threadIdx.y == 0) {
        means[blockIdx.x * channels + channel] = mean;
        squares[blockIdx.x * channels + channel] = square;
    }
}

// Pixels of a chunk; the last may have fewer.
static __device__ double chunk_count(size_t pixels, size_t chunk, size_t part)
{
    size_t left = pixels - part * chunk;
    return left < chunk ? left : chunk;
}

// Mean, biased variance and scale of every channel from those of the chunks: the squares of all are those within the
// chunks and those of the chunks' means.
extern "C" __global__ void join_moments(size_t pixels, size_t channels, size_t chunk, const double *means,
                                        const double *squares, const float *gain, double eps, float *mean,
                                        float *variance, float *scale)
{
    size_t channel = channel_here(), chunks = (pixels + chunk - 1) / chunk;
    bool inside = channel < channels;
    double sum = 0.0, square = 0.0;
    for (size_t part = threadIdx.y; inside && part < chunks; part += PIXELS)
        sum += chunk_count(pixels, chunk, part) * means[part * channels + channel];
    double center = over_pixels(sum) / pixels;
    for (size_t part = threadIdx.y; inside && part < chunks; part += PIXELS) {
        double deviation = means[part * channels + channel] - center;
        square += squares[part * channels + channel] + chunk_count(pixels, chunk, part) * deviation * deviation;
    }
    square = over_pixels(square) / pixels;
    if (inside && threadIdx.y == 0) {
        mean[channel] = (float)center;
        variance[channel] = (float)square;
        scale[channel] = (float)(gain[channel] * (1.0 / sqrt(square + eps)));
    }
}

// gain / sqrt(variance + eps) of every channel.
extern "C" __global__ void channel_scale(size_t channels, const float *gain, const float *variance, double eps,
                                         float *scale)
{
    size_t channel = number();
    if (channel < channels)
        scale[channel] = (float)(gain[channel] * (1.0 / sqrt(variance[channel] + eps)));
}

static __device__ float normalized(float x, float mean, float scale, float shift) { return (x - mean) * scale + shift; }

// `relu` is 1 where a ReLU follows, else 0.
extern "C" __global__ void normalize(size_t pixels, size_t channels, const float *x, const float *means,
                                     const float *scales, const float *shifts, int relu, float *y)
{
    size_t channel = channel_here();
    if (channel >= channels)
        return;
    float mean = means[channel], scale = scales[channel], shift = shifts[channel];
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel()) {
        float value = normalized(x[pixel * channels + channel], mean, scale, shift);
        y[pixel * channels + channel] = relu && value <= 0.0f ? 0.0f : value;
    }
}

// What of a gradient arrives at the normalized number.
static __device__ float passed(int relu, float grad, float x, float mean, float scale, float shift)
{
    return relu && normalized(x, mean, scale, shift) <= 0.0f ? 0.0f : grad;
}

// For every channel of a chunk the sum of the gradients, and of their products with x - mean. Here and below, `shifts` is
// read only where a ReLU follows.
extern "C" __global__ void chunk_gradients(size_t pixels, size_t channels, size_t chunk, const float *x,
                                           const float *grads, const float *means, const float *scales,
                                           const float *shifts, int relu, float *of_grad, float *of_deviation)
{
    size_t channel = channel_here();
    bool inside = channel < channels;
    float mean = inside ? means[channel] : 0.0f, scale = inside ? scales[channel] : 0.0f;
    float shift = inside && relu ? shifts[channel] : 0.0f, sum = 0.0f, product = 0.0f;
    Range here = chunk_here(pixels, chunk);
    for (size_t pixel = here.start + threadIdx.y; inside && pixel < here.end; pixel += PIXELS) {
        float value = x[pixel * channels + channel];
        float grad = passed(relu, grads[pixel * channels + channel], value, mean, scale, shift);
        sum += grad;
        product += grad * (value - mean);
    }
    sum = over_pixels(sum);
    product = over_pixels(product);
    if (inside && threadIdx.y == 0) {
        of_grad[blockIdx.x * channels + channel] = sum;
        of_deviation[blockIdx.x * channels + channel] = product;
    }
}

// The gradients of gain and shift; and what the gradient of the input takes from the statistics: the mean of the
// gradients, and the slope against x - mean.
extern "C" __global__ void join_gradients(size_t pixels, size_t channels, size_t chunks, const float *of_grad,
                                          const float *of_deviation, const float *variance, double eps, float *gain,
                                          float *shift, float *mean_grad, float *slope)
{
    size_t channel = channel_here();
    double sum = join(chunks, channels, channel, of_grad), product = join(chunks, channels, channel, of_deviation);
    if (channel >= channels || threadIdx.y > 0)
        return;
    double inverse = 1.0 / sqrt(variance[channel] + eps);
    gain[channel] = (float)(product * inverse);
    shift[channel] = (float)sum;
    mean_grad[channel] = (float)(sum / pixels);
    slope[channel] = (float)(product / pixels * inverse * inverse);
}

// The gradient of the input where mean and variance are those of the batch.
extern "C" __global__ void through_statistics(size_t pixels, size_t channels, const float *x, const float *grads,
                                              const float *means, const float *scales, const float *shifts, int relu,
                                              const float *mean_grads, const float *slopes, float *out)
{
    size_t channel = channel_here();
    if (channel >= channels)
        return;
    float mean = means[channel], scale = scales[channel], shift = relu ? shifts[channel] : 0.0f;
    float mean_grad = mean_grads[channel], slope = slopes[channel];
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel()) {
        float value = x[pixel * channels + channel];
        float grad = passed(relu, grads[pixel * channels + channel], value, mean, scale, shift);
        out[pixel * channels + channel] = scale * (grad - mean_grad - (value - mean) * slope);
    }
}

// The gradient of the input where mean and variance are given.
extern "C" __global__ void scaled(size_t pixels, size_t channels, const float *x, const float *grads,
                                  const float *means, const float *scales, const float *shifts, int relu, float *out)
{
    size_t channel = channel_here();
    if (channel >= channels)
        return;
    float mean = means[channel], scale = scales[channel], shift = relu ? shifts[channel] : 0.0f;
    for (size_t pixel = first_pixel(); pixel < pixels; pixel += next_pixel()) {
        float value = x[pixel * channels + channel];
        float grad = passed(relu, grads[pixel * channels + channel], value, mean, scale, shift);
        out[pixel * channels + channel] = scale * grad;
    }
}

// ---- softmax cross-entropy: a block for a row ----

// The sum over the threads of a block, the same for all of them. All threads must call it.
static __device__ double over_threads(double value)
{
    __shared__ double terms[THREADS];
    __syncthreads(); // Whoever called before has read.
    terms[threadIdx.x] = value;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            terms[threadIdx.x] += terms[threadIdx.x + half];
    }
    __syncthreads();
    return terms[0];
}

// The largest over the threads of a block, the same for all of them; what is not a number does not count.
static __device__ double largest_of_threads(double value)
{
    __shared__ double terms[THREADS];
    __syncthreads(); // Whoever called before has read.
    terms[threadIdx.x] = value;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            terms[threadIdx.x] = fmax(terms[threadIdx.x], terms[threadIdx.x + half]);
    }
    __syncthreads();
    return terms[0];
}

// The smoothed and weighted target of a class.
static __device__ double target(double wanted, double weight, double smoothing, size_t classes)
{
    return weight * ((1.0 - smoothing) * wanted + smoothing / classes);
}

// The loss of a row, and the gradient of the mean loss: (softmax times the sum of targets, minus target) / divisor.
extern "C" __global__ void cross_entropy(size_t classes, const float *logits, const float *wanted,
                                         const double *weights, double smoothing, double divisor, double *losses,
                                         float *grad)
{
    size_t row = blockIdx.x;
    logits += row * classes;
    wanted += row * classes;
    grad += row * classes;
    double largest = logits[0];
    for (size_t k = threadIdx.x; k < classes; k += THREADS)
        largest = fmax(largest, (double)logits[k]);
    largest = largest_of_threads(largest);
    double sum = 0.0, targets = 0.0, loss = 0.0;
    for (size_t k = threadIdx.x; k < classes; k += THREADS) {
        sum += exp(logits[k] - largest);
        targets += target(wanted[k], weights[k], smoothing, classes);
    }
    sum = over_threads(sum);
    targets = over_threads(targets);
    double log_sum = log(sum);
    for (size_t k = threadIdx.x; k < classes; k += THREADS) {
        double q = target(wanted[k], weights[k], smoothing, classes);
        // A target of 0 asks nothing of its logit, not even of one at minus infinity.
        if (q != 0.0)
            loss += q * (log_sum - (logits[k] - largest));
        grad[k] = (float)((exp(logits[k] - largest) / sum * targets - q) / divisor);
    }
    loss = over_threads(loss);
    if (threadIdx.x == 0)
        losses[row] = loss;
}

// ---- the optimizer's step: blocks for the numbers of a tensor, for many tensors at once ----

// A tensor in a step: what is read, what is written, and constants of its own.
struct Part {
    const float *value, *grad, *first, *second;
    float *new_value, *new_first, *new_second;
    size_t count;
    float rate, decay, root;
};

// g += decay w; v = momentum v + g; w -= rate v, or with Nesterov rate (g + momentum v). All gradients are multiplied
// with `scale` first.
extern "C" __global__ void sgd(const Part *parts, float scale, float momentum, int nesterov)
{
    Part part = parts[blockIdx.y];
    for (size_t i = number(); i < part.count; i += (size_t)gridDim.x * THREADS) {
        float w = part.value[i], g = part.grad[i] * scale + part.decay * w;
        float v = momentum * part.first[i] + g;
        part.new_first[i] = v;
        part.new_value[i] = w - part.rate * (nesterov ? g + momentum * v : v);
    }
}

// The decay of a mean, and one minus it, which is rounded once only.
struct Beta {
    float kept, added;
};

// m = b1 m + (1 - b1) g; s = b2 s + (1 - b2) g^2; w = w decay - rate m / (sqrt(s) root + eps): `decay` is one minus rate
// times decay, and `rate` and `root` hold the corrections of the bias.
extern "C" __global__ void adamw(const Part *parts, float scale, Beta mean, Beta square, float eps)
{
    Part part = parts[blockIdx.y];
    for (size_t i = number(); i < part.count; i += (size_t)gridDim.x * THREADS) {
        float g = part.grad[i] * scale;
        float m = mean.kept * part.first[i] + mean.added * g;
        float s = square.kept * part.second[i] + square.added * g * g;
        part.new_first[i] = m;
        part.new_second[i] = s;
        part.new_value[i] = part.value[i] * part.decay - part.rate * m / (sqrtf(s) * part.root + eps);
    }
}

// The sum of the squares of the gradients that this block goes over.
extern "C" __global__ void squares(const Part *parts, double *sums)
{
    Part part = parts[blockIdx.y];
    double sum = 0.0;
    for (size_t i = number(); i < part.count; i += (size_t)gridDim.x * THREADS)
        sum += (double)part.grad[i] * part.grad[i];
    sum = over_threads(sum);
    if (threadIdx.x == 0)
        sums[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}
