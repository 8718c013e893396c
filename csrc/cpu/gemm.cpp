#include "ops/gemm.h"

#include <algorithm>
#include <stdexcept>

#include "core/parallel.h"
#include "cpu/blas.h"

namespace fastcf {
namespace {

// A part of C keeps a thread busy for some ten microseconds at least. A choice, not a measurement.
constexpr std::int64_t kFlopsPerPart = std::int64_t{1} << 20;
constexpr std::int64_t kMostParts = 64;

BlasGemm<float> blas_gemm(float) {
    return blas_sgemm;
}
BlasGemm<double> blas_gemm(double) {
    return blas_dgemm;
}

}  // namespace

template <class T>
void gemm(bool transpose_a, bool transpose_b, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
          MatrixView<T> c, int n_threads) {
    const GemmShape shape = check_gemm(transpose_a, transpose_b, a, b, c);
    const auto product = blas_gemm(T{});
    if (product == nullptr) throw std::logic_error("gemm: no BLAS was set");
    if (shape.m == 0 || shape.n == 0) return;
    const bool by_rows = shape.m >= shape.n;
    const std::int64_t length = by_rows ? shape.m : shape.n;
    const std::int64_t flops = 2 * shape.m * shape.n * std::max<std::int64_t>(shape.k, 1);
    const std::int64_t parts = std::clamp<std::int64_t>(flops / kFlopsPerPart, 1, std::min(kMostParts, length));
    const std::int64_t grain = (length + parts - 1) / parts;
    parallel_chunks(length, grain, parts == 1 ? 1 : n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        const std::int64_t first_row = by_rows ? begin : 0, first_col = by_rows ? 0 : begin;
        // Row by row is column by column of the transpose: C^T = op(B)^T op(A)^T.
        char ta = transpose_a ? 'T' : 'N', tb = transpose_b ? 'T' : 'N';
        int m = static_cast<int>(by_rows ? end - begin : shape.m),
            n = static_cast<int>(by_rows ? shape.n : end - begin);
        int k = static_cast<int>(shape.k);
        // BLAS wants strides of at least 1, of empty matrices too.
        const auto stride_of = [](std::int64_t stride, std::int64_t cols) {
            return static_cast<int>(std::max<std::int64_t>({stride, cols, 1}));
        };
        int lda = stride_of(a.stride, a.cols), ldb = stride_of(b.stride, b.cols), ldc = stride_of(c.stride, c.cols);
        T* a_part = const_cast<T*>(a.data) + (transpose_a ? first_row : first_row * a.stride);
        T* b_part = const_cast<T*>(b.data) + (transpose_b ? first_col * b.stride : first_col);
        T scale = alpha, keep = beta;
        product(&tb, &ta, &n, &m, &k, &scale, b_part, &ldb, a_part, &lda, &keep, c.row(first_row) + first_col, &ldc);
    });
}

FASTCF_INSTANTIATE_GEMM(float)
FASTCF_INSTANTIATE_GEMM(double)

}  // namespace fastcf
