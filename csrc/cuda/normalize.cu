#include "cuda/dot.h"
#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/normalize.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;

// One warp per row: 8 k bytes of float32 read, the second half from cache, and 4 k written; bound by memory, on an H200
// at most 9 G rows/s at k = 64. 256 threads. Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void normalize_kernel(Global<const T> x, std::int64_t stride, std::int64_t n, std::int64_t k, double length,
                      Global<T> y, std::int64_t y_stride) {
    const std::int64_t r = global_warp();
    const Global<const T> row = x + (r < n ? r : 0) * stride;
    const double norm = sqrt(warp_dot<T>(row, row, r < n ? k : 0));
    const double scale = norm == 0.0 ? 0.0 : length / norm;
    for (std::int64_t f = lane_index(); r < n && f < k; f += kWarp) {
        const T value = row[f];
        y[r * y_stride + f] = static_cast<T>(static_cast<double>(value) * scale);
    }
}

// One warp per row: 8 k bytes of float32 read, once more from cache, and 4 k written; bound by memory. 256 threads.
// Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void normalize_slope_kernel(Global<const T> x, std::int64_t stride, std::int64_t n, std::int64_t k, double length,
                            Global<T> gradient, std::int64_t gradient_stride) {
    const std::int64_t r = global_warp(), safe = r < n ? r : 0, size = r < n ? k : 0;
    const Global<const T> row = x + safe * stride;
    const Global<T> slope = gradient + safe * gradient_stride;
    const double square = warp_dot<T>(row, row, size), product = warp_dot<T>(row, slope, size);
    const double scale = square == 0.0 ? 0.0 : length / sqrt(square), along = square == 0.0 ? 0.0 : product / square;
    for (std::int64_t f = lane_index(); f < size; f += kWarp) {
        const T value = row[f], before = slope[f];
        slope[f] = static_cast<T>(scale * (static_cast<double>(before) - along * static_cast<double>(value)));
    }
}

}  // namespace

template <class T>
void normalize(MatrixView<const T> x, double length, MatrixView<T> y, int) {
    check_normalize(x, y, "normalize");
    const In<T> in(x);
    const Out<T> out(y.data, extent(y.rows, y.cols, y.stride));
    FASTCF_LAUNCH(normalize_kernel<T>, blocks_for(x.rows, kWarps), kThreads, 0, in.data(), x.stride, x.rows, x.cols,
                  length, out.data(), y.stride);
    out.finish();
}

template <class T>
void normalize_gradient(MatrixView<const T> x, double length, MatrixView<T> gradient, int) {
    check_normalize(x, gradient, "normalize_gradient");
    const In<T> in(x);
    const InOut<T> slopes(gradient);
    FASTCF_LAUNCH(normalize_slope_kernel<T>, blocks_for(x.rows, kWarps), kThreads, 0, in.data(), x.stride, x.rows,
                  x.cols, length, slopes.data(), gradient.stride);
    slopes.finish();
}

FASTCF_INSTANTIATE_NORMALIZE(float)
FASTCF_INSTANTIATE_NORMALIZE(double)

}  // namespace fastcf
