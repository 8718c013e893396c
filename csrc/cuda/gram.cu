#include <algorithm>

#include "core/interrupt.h"
#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/gram.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kWidth = 4096;                   // columns of a row of the result at a time: 32 KB of sums
constexpr std::int64_t kRowsAtOnce = 1 << 12;  // of the result, between looks for Ctrl-C

struct Entries {
    Global<const std::int64_t> indptr;
    Global<const std::int32_t> indices;
    Global<const float> left, right;    // or null: ones
    Global<const double> row_weights;   // or null: ones
    Global<const std::int64_t> starts;  // of the columns
    Global<const std::int64_t> entries;
    Global<const std::int32_t> owners;
};

// The first entry of [begin, end) whose column is at least `column`.
FASTCF_DEVICE std::int64_t first_at(Global<const std::int32_t> indices, std::int64_t begin, std::int64_t end,
                                    std::int64_t column) {
    while (begin < end) {
        const std::int64_t middle = (begin + end) / 2;
        const std::int32_t found = indices[middle];
        if (found < column)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

// One block per row of the result, kWidth columns of it at a time: per row of the matrix that holds the item its
// entries, 8 bytes each, and as many additions into shared memory, in float64, between two barriers. Bound by the
// barriers where rows are short, by shared memory where they are long: on an H200 at most 2 T additions/s. 256 threads,
// 32 KB of shared memory. Rows are added in their order: deterministic.
FASTCF_KERNEL(kThreads)
void gram_kernel(Entries z, std::int64_t n, bool symmetric, std::int64_t first_row, Global<float> out) {
    FASTCF_SHARED(double, sums, kWidth);
    const std::int64_t i = first_row + blockIdx.x, width = symmetric ? i + 1 : n;
    const std::int64_t begin = z.starts[i], end = z.starts[i + 1];
    for (std::int64_t left = 0; left < width; left += kWidth) {
        const std::int64_t right = left + kWidth < width ? left + kWidth : width;
        for (std::int64_t j = left + threadIdx.x; j < right; j += kThreads) sums[j - left] = 0.0;
        block_sync();
        for (std::int64_t c = begin; c < end; ++c) {
            const std::int64_t entry = z.entries[c];
            const std::int32_t owner = z.owners[c];
            double scale = 1.0;
            if (z.row_weights != nullptr) scale = z.row_weights[owner];
            if (z.left != nullptr) {
                const float own = z.left[entry];
                scale *= static_cast<double>(own);
            }
            const std::int64_t row_begin = z.indptr[owner], row_end = z.indptr[owner + 1];
            const std::int64_t from = first_at(z.indices, row_begin, row_end, left);
            const std::int64_t to = first_at(z.indices, from, row_end, right);
            for (std::int64_t e = from + threadIdx.x; e < to; e += kThreads) {
                double value = 1.0;
                if (z.right != nullptr) {
                    const float stored = z.right[e];
                    value = static_cast<double>(stored);
                }
                const std::int32_t column = z.indices[e];
                sums[column - left] += scale * value;
            }
            block_sync();
        }
        for (std::int64_t j = left + threadIdx.x; j < right; j += kThreads) {
            const double sum = sums[j - left];
            out[i * n + j] = static_cast<float>(sum);
            if (symmetric && j < i) out[j * n + i] = static_cast<float>(sum);
        }
        block_sync();
    }
}

}  // namespace

void gram(const GramProblem& problem, MatrixView<float> out) {
    check_gram(problem, out);
    const CsrView& rows = problem.rows;
    const std::int64_t n = rows.cols, nnz = rows.nnz();
    if (n == 0) return;
    check(out.stride == n, "gram: the result must be contiguous");
    const GramColumns columns = gram_columns(rows);
    const bool symmetric = problem.right == nullptr;
    const In<std::int64_t> indptr(rows.indptr, rows.rows + 1);
    const In<std::int32_t> indices(rows.indices, nnz);
    const In<float> left(problem.left, nnz), right(symmetric ? nullptr : problem.right, nnz);
    const In<double> row_weights(problem.row_weights);
    const DeviceArray<std::int64_t> starts(columns.starts), entries(columns.entries);
    const DeviceArray<std::int32_t> owners(columns.owners);
    const Out<float> result(out.data, n * n);
    const Entries z{indptr.data(),      indices.data(), left.data(),    symmetric ? left.data() : right.data(),
                    row_weights.data(), starts.data(),  entries.data(), owners.data()};
    for (std::int64_t first = 0; first < n; first += kRowsAtOnce) {
        if (interrupt_pending()) throw Interrupted();
        FASTCF_LAUNCH(gram_kernel, std::min(kRowsAtOnce, n - first), kThreads, 0, z, n, symmetric, first,
                      result.data());
    }
    result.finish();
}

}  // namespace fastcf
