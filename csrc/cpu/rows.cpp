#include "ops/rows.h"

#include <algorithm>

#include "core/parallel.h"

namespace fastcf {
namespace {

void gather(const MatrixView<const float>& from, const std::int32_t* rows, const float* weights, std::int64_t begin,
            std::int64_t end, const MatrixView<float>& to) {
    for (std::int64_t r = begin; r < end; ++r) {
        const float* row = from.row(rows[r]);
        float* copy = to.row(r);
        if (weights == nullptr)
            std::copy_n(row, from.cols, copy);
        else
            for (std::int64_t f = 0; f < from.cols; ++f) copy[f] = weights[r] * row[f];
    }
}

void gather_column(const MatrixView<const float>& from, const std::int32_t* rows, const float* weights,
                   std::int64_t begin, std::int64_t end, const MatrixView<float>& to) {
    if (weights == nullptr)
        for (std::int64_t r = begin; r < end; ++r) *to.row(r) = *from.row(rows[r]);
    else
        for (std::int64_t r = begin; r < end; ++r) *to.row(r) = weights[r] * *from.row(rows[r]);
}

}  // namespace

void gather_rows(MatrixView<const float> from, VectorView<const std::int32_t> rows, VectorView<const float> weights,
                 MatrixView<float> to, int n_threads) {
    constexpr std::int64_t kRowsPerTask = 4096;
    check_gather(from, rows, weights, to);
    const auto task = from.cols == 1 ? gather_column : gather;
    parallel_chunks(rows.size, kRowsPerTask, threads_for(rows.size * (from.cols / 8 + 1), n_threads),
                    [&](std::int64_t begin, std::int64_t end, int) {
                        check_gathered(rows, begin, end, from.rows);
                        task(from, rows.data, weights.empty() ? nullptr : weights.data, begin, end, to);
                    });
}

}  // namespace fastcf
