#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/spmm.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kHeld = 4;  // columns per lane and pass

// A warp per row, 128 columns at a time: cols elements of x, an index, a place and a value per entry, 2 cols flops.
// Bound by fetching rows of x, in float32 on an H200 at most 9 G entries/s at 128 columns from memory, more from L2.
// 256 threads. Rows of very many entries take one warp all the same: batches have none. Deterministic.
template <class T>
FASTCF_KERNEL(kThreads)
void spmm_kernel(Global<const std::int64_t> indptr, Global<const std::int32_t> indices,
                 Global<const std::int64_t> entries, Global<const T> values, Global<const T> x, std::int64_t x_stride,
                 std::int64_t rows, std::int64_t cols, Global<T> out, std::int64_t out_stride, Global<T> sums,
                 bool accumulate) {
    const std::int64_t row = global_warp();
    if (row >= rows) return;
    const std::int64_t begin = indptr[row], end = indptr[row + 1];
    double total = 0.0;
    for (std::int64_t c0 = 0; c0 < cols; c0 += kWarp * kHeld) {
        T held[kHeld] = {};
        for (int h = 0; accumulate && h < kHeld; ++h) {
            const std::int64_t c = c0 + h * kWarp + lane_index();
            if (c < cols) held[h] = out[row * out_stride + c];
        }
        for (std::int64_t e = begin; e < end; ++e) {
            const std::int64_t place = entries == nullptr ? e : entries[e];
            const T value = values[place];
            const std::int64_t base = indices[e] * x_stride;
            if (c0 == 0 && sums != nullptr) total += static_cast<double>(value);
            for (int h = 0; h < kHeld; ++h) {
                const std::int64_t c = c0 + h * kWarp + lane_index();
                if (c < cols) held[h] += value * x[base + c];
            }
        }
        for (int h = 0; h < kHeld; ++h) {
            const std::int64_t c = c0 + h * kWarp + lane_index();
            if (c < cols) out[row * out_stride + c] = held[h];
        }
    }
    if (cols == 0)
        for (std::int64_t e = begin; e < end; ++e) {
            const T value = values[entries == nullptr ? e : entries[e]];
            total += static_cast<double>(value);
        }
    if (sums != nullptr && lane_index() == 0) sums[row] = static_cast<T>(total);
}

}  // namespace

template <class T>
void spmm(const SparseRows<T>& a, MatrixView<const T> x, MatrixView<T> out, VectorView<T> sums, int, bool accumulate) {
    check_spmm(a, x, out, sums);
    const In<std::int64_t> indptr(a.indptr, a.rows + 1), entries(a.entries, a.n);
    const In<std::int32_t> indices(a.indices, a.n);
    const In<T> values(a.values, a.n), rows(x);
    const InOut<T> result(out);
    const Out<T> row_sums(sums);
    FASTCF_LAUNCH(spmm_kernel<T>, blocks_for(a.rows, kThreads / kWarp), kThreads, 0, indptr.data(), indices.data(),
                  entries.data(), values.data(), rows.data(), x.stride, a.rows, x.cols, result.data(), out.stride,
                  row_sums.data(), accumulate);
    result.finish();
    row_sums.finish();
}

FASTCF_INSTANTIATE_SPMM(float)
FASTCF_INSTANTIATE_SPMM(double)

}  // namespace fastcf
