// A row of the result is the sum, over the rows u that hold its item, of w_u z_ui times row u: Gustavson's product,
// whose sums stay in the second-level cache. The lists of rows by item are made once, by counting.
#include "ops/gram.h"

#include <algorithm>

#include "core/aligned.h"
#include "core/parallel.h"

namespace fastcf {
namespace {

constexpr std::int64_t kTile = 64;  // rows and columns that are mirrored at a time: two tiles in the first-level cache

template <bool kOnes>
void add_entries(const std::int32_t* indices, const float* values, std::int64_t begin, std::int64_t end, double scale,
                 double* sums) {
    for (std::int64_t e = begin; e < end; ++e)
        sums[indices[e]] += kOnes ? scale : scale * static_cast<double>(values[e]);
}

void mirror(MatrixView<float> out, int n_threads) {
    const std::int64_t tiles = (out.rows + kTile - 1) / kTile;
    parallel_for(tiles, n_threads, [&](std::int64_t tile, int) {
        const std::int64_t first = tile * kTile, end = std::min(out.rows, first + kTile);
        for (std::int64_t left = 0; left <= first; left += kTile)
            for (std::int64_t i = first; i < end; ++i)
                for (std::int64_t j = left; j < std::min(i, left + kTile); ++j) out.row(j)[i] = out.row(i)[j];
    });
}

}  // namespace

void gram(const GramProblem& problem, MatrixView<float> out) {
    check_gram(problem, out);
    const CsrView& rows = problem.rows;
    const std::int64_t n = rows.cols;
    const bool symmetric = problem.right == nullptr;
    const float* right = symmetric ? problem.left : problem.right;
    const auto add = right == nullptr ? add_entries<true> : add_entries<false>;
    const GramColumns columns = gram_columns(rows);
    const int threads = resolve_threads(problem.n_threads);
    AlignedBuffer<double> scratch(threads * row_stride(n));
    parallel_for(n, threads, [&](std::int64_t i, int thread) {
        double* sums = scratch.data() + thread * row_stride(n);
        const std::int64_t width = symmetric ? i + 1 : n;
        std::fill_n(sums, width, 0.0);
        const auto item = static_cast<std::size_t>(i);
        const auto end = static_cast<std::size_t>(columns.starts[item + 1]);
        for (auto c = static_cast<std::size_t>(columns.starts[item]); c < end; ++c) {
            const std::int64_t entry = columns.entries[c], owner = columns.owners[c];
            const double weight = problem.row_weights.empty() ? 1.0 : problem.row_weights[owner];
            const double scale = problem.left == nullptr ? weight : weight * static_cast<double>(problem.left[entry]);
            add(rows.indices, right, rows.indptr[owner], symmetric ? entry + 1 : rows.indptr[owner + 1], scale, sums);
        }
        for (std::int64_t j = 0; j < width; ++j) out.row(i)[j] = static_cast<float>(sums[j]);
    });
    if (symmetric) mirror(out, threads);
}

}  // namespace fastcf
