#include "ops/rows.h"

#include <algorithm>

#include "core/parallel.h"

namespace fastcf {
namespace {

template <class T>
void gather(const MatrixView<const T>& from, const std::int32_t* rows, const T* weights, std::int64_t begin,
            std::int64_t end, const MatrixView<T>& to) {
    for (std::int64_t r = begin; r < end; ++r) {
        const T* row = from.row(rows[r]);
        T* copy = to.row(r);
        if (weights == nullptr)
            std::copy_n(row, from.cols, copy);
        else
            for (std::int64_t f = 0; f < from.cols; ++f) copy[f] = weights[r] * row[f];
    }
}

template <class T>
void gather_column(const MatrixView<const T>& from, const std::int32_t* rows, const T* weights, std::int64_t begin,
                   std::int64_t end, const MatrixView<T>& to) {
    if (weights == nullptr)
        for (std::int64_t r = begin; r < end; ++r) *to.row(r) = *from.row(rows[r]);
    else
        for (std::int64_t r = begin; r < end; ++r) *to.row(r) = weights[r] * *from.row(rows[r]);
}

}  // namespace

template <class T>
void gather_rows(MatrixView<const T> from, VectorView<const std::int32_t> rows, VectorView<const T> weights,
                 MatrixView<T> to, int n_threads) {
    constexpr std::int64_t kRowsPerTask = 4096;
    check_gather(from, rows, weights, to);
    const auto task = from.cols == 1 ? gather_column<T> : gather<T>;
    parallel_chunks(rows.size, kRowsPerTask, threads_for(rows.size * (from.cols / 8 + 1), n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        check_gathered(rows, begin, end, from.rows);
                        task(from, rows.data, weights.empty() ? nullptr : weights.data, begin, end, to);
                    });
}

FASTCF_INSTANTIATE_ROWS(float)
FASTCF_INSTANTIATE_ROWS(double)

}  // namespace fastcf
