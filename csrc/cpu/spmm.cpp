#include "ops/spmm.h"

#include <algorithm>

#include "core/parallel.h"
#include "cpu/mf_gradient_kernels.h"

namespace fastcf {
namespace {

const MfRowKernels<float>& kernels(float) {
    return FASTCF_SELECT_ISA(mf_kernels).of_float;
}
const MfRowKernels<double>& kernels(double) {
    return FASTCF_SELECT_ISA(mf_kernels).of_double;
}

}  // namespace

template <class T>
void spmm(const SparseRows<T>& a, MatrixView<const T> x, MatrixView<T> out, VectorView<T> sums, int n_threads,
          bool accumulate) {
    check_spmm(a, x, out, sums);
    constexpr std::int64_t kMostTasks = 256;
    const MfRowKernels<T>& row_kernels = kernels(T{});
    const std::int64_t grain = std::max<std::int64_t>(1, a.rows / kMostTasks);
    const int threads = threads_for(a.n * (x.cols / 2 + 1), n_threads);  // calls follow one another: threads are awake
    parallel_chunks(a.rows, grain, threads, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t r = begin; r < end; ++r) {
            const std::int64_t first = a.indptr[r];
            MfRow<T> row{};
            row.rows = x.data;
            row.stride = x.stride;
            row.k = x.cols;
            row.indices = a.indices + first;
            row.n = a.indptr[r + 1] - first;
            row.readable = a.n - first;
            T total = 0;
            if (!accumulate) std::fill_n(out.row(r), out.cols, T(0));
            if (a.entries != nullptr)
                row_kernels.backward(row, a.values, a.entries + first, out.row(r), &total);
            else
                row_kernels.backward(row, a.values + first, nullptr, out.row(r), &total);
            if (!sums.empty()) sums[r] = total;
        }
    });
}

FASTCF_INSTANTIATE_SPMM(float)
FASTCF_INSTANTIATE_SPMM(double)

}  // namespace fastcf
