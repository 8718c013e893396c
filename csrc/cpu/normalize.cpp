#include "ops/normalize.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "math/dot.h"

namespace fastcf {
namespace {

template <class T, class Body>
void over_rows(const MatrixView<T>& x, int n_threads, Body&& body) {
    constexpr std::int64_t kElementsPerTask = 1 << 14;
    const std::int64_t grain = std::max<std::int64_t>(1, kElementsPerTask / std::max<std::int64_t>(x.cols, 1));
    parallel_chunks(x.rows, grain, threads_for(x.rows * x.cols, n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        for (std::int64_t r = begin; r < end; ++r) body(r);
                    });
}

}  // namespace

template <class T>
void normalize(MatrixView<const T> x, double length, MatrixView<T> y, int n_threads) {
    check_normalize(x, y, "normalize");
    over_rows(x, n_threads, [&](std::int64_t r) {
        const T* const row = x.row(r);
        T* const out = y.row(r);
        const double norm = std::sqrt(squared_norm(row, x.cols)), scale = norm == 0.0 ? 0.0 : length / norm;
        for (std::int64_t f = 0; f < x.cols; ++f) out[f] = static_cast<T>(static_cast<double>(row[f]) * scale);
    });
}

template <class T>
void normalize_gradient(MatrixView<const T> x, double length, MatrixView<T> gradient, int n_threads) {
    check_normalize(x, gradient, "normalize_gradient");
    over_rows(x, n_threads, [&](std::int64_t r) {
        const T* const row = x.row(r);
        T* const slope = gradient.row(r);
        const double square = squared_norm(row, x.cols);
        const double scale = square == 0.0 ? 0.0 : length / std::sqrt(square);
        const double along = square == 0.0 ? 0.0 : dot<T>(row, slope, x.cols) / square;
        for (std::int64_t f = 0; f < x.cols; ++f)
            slope[f] = static_cast<T>(scale * (static_cast<double>(slope[f]) - along * static_cast<double>(row[f])));
    });
}

FASTCF_INSTANTIATE_NORMALIZE(float)
FASTCF_INSTANTIATE_NORMALIZE(double)

}  // namespace fastcf
