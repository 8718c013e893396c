#include "ops/gemm.h"

#include <algorithm>
#include <stdexcept>

#include "core/aligned.h"
#include "core/parallel.h"
#include "cpu/blas.h"
#include "cpu/gemm_kernels.h"

namespace fastcf {
namespace {

// A part of C keeps a thread busy for some 5 microseconds of the own kernel (about 200 flops per nanosecond at
// AVX-512), 45 of OpenBLAS (90 at AVX2): a training network's products follow one another while threads are awake. With
// 2^23 flops a part 128-256-256 learnt from 25,000 users a second on two threads, with 2^20 from 27,000 to 30,000.
constexpr std::int64_t kOwnFlopsPerPart = std::int64_t{1} << 20;
template <class T>
constexpr std::int64_t kBlasFlopsPerPart = (std::int64_t{1} << 24) / sizeof(T);
constexpr std::int64_t kMostBlasParts = 64;
constexpr std::int64_t kBlasTile = 64;          // every part copies an operand: thin ones spend their time on that
constexpr std::int64_t kOwnPartsPerThread = 2;  // so that a thread that was held up keeps the others waiting less

BlasGemm<float> blas_gemm(float) {
    return blas_sgemm;
}
BlasGemm<double> blas_gemm(double) {
    return blas_dgemm;
}

// Calls body(first row, end row, first column, end column) for about `parts` parts of C, cut across its longer side at
// multiples of `tile`.
template <class Body>
void over_parts(const GemmShape& shape, std::int64_t parts, std::int64_t tile, int n_threads, Body&& body) {
    const bool by_rows = shape.m >= shape.n;
    const std::int64_t length = by_rows ? shape.m : shape.n;
    const std::int64_t tiles = (length + tile - 1) / tile;
    const std::int64_t grain = tile * ((tiles + parts - 1) / parts);
    parallel_chunks(length, grain, parts == 1 ? 1 : n_threads, [&](std::int64_t begin, std::int64_t end, int) {
        by_rows ? body(begin, end, std::int64_t{0}, shape.n) : body(std::int64_t{0}, shape.m, begin, end);
    });
}

std::int64_t flops_of(const GemmShape& shape) {
    return 2 * shape.m * shape.n * std::max<std::int64_t>(shape.k, 1);
}

// What a part of C is computed from.
template <class T>
const T* rows_of(bool transposed, const MatrixView<const T>& a, std::int64_t first_row) {
    return a.data + (transposed ? first_row : first_row * a.stride);
}
template <class T>
const T* cols_of(bool transposed, const MatrixView<const T>& b, std::int64_t first_col) {
    return b.data + (transposed ? first_col * b.stride : first_col);
}

float* workspace(std::int64_t size) {
    thread_local AlignedBuffer<float> buffer;
    if (buffer.size() < size) buffer = AlignedBuffer<float>(size);
    return buffer.data();
}

// How C is cut may depend on the number of threads here, for an element's bits do not depend on the cut.
void own_product(const GemmShape& shape, bool transpose_a, bool transpose_b, float alpha,
                 const MatrixView<const float>& a, const MatrixView<const float>& b, float beta,
                 const MatrixView<float>& c, int n_threads) {
    const GemmKernels& kernels = FASTCF_SELECT_ISA(gemm_kernels);
    const int threads = resolve_threads(n_threads);
    const std::int64_t most = threads == 1 ? 1 : kOwnPartsPerThread * threads;
    const std::int64_t parts = std::clamp<std::int64_t>(flops_of(shape) / kOwnFlopsPerPart, 1, most);
    over_parts(shape, parts, kernels.tile_cols, threads,
               [&](std::int64_t row, std::int64_t end_row, std::int64_t col, std::int64_t end_col) {
                   const GemmPart part{transpose_a,
                                       transpose_b,
                                       alpha,
                                       beta,
                                       rows_of(transpose_a, a, row),
                                       a.stride,
                                       cols_of(transpose_b, b, col),
                                       b.stride,
                                       c.row(row) + col,
                                       c.stride,
                                       end_row - row,
                                       end_col - col,
                                       shape.k};
                   kernels.product(part, workspace(kernels.workspace_size(part)));
               });
}

}  // namespace

template <class T>
void gemm(bool transpose_a, bool transpose_b, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
          MatrixView<T> c, int n_threads) {
    const GemmShape shape = check_gemm(transpose_a, transpose_b, a, b, c);
    const auto product = blas_gemm(T{});
    if (product == nullptr) throw std::logic_error("gemm: no BLAS was set");
    if (shape.m == 0 || shape.n == 0) return;
    if constexpr (sizeof(T) == sizeof(float)) {
        if (gemm_is_own()) {
            own_product(shape, transpose_a, transpose_b, alpha, a, b, beta, c, n_threads);
            return;
        }
    }
    const std::int64_t most = std::min(kMostBlasParts, std::max(shape.m, shape.n));
    const std::int64_t parts = std::clamp<std::int64_t>(flops_of(shape) / kBlasFlopsPerPart<T>, 1, most);
    over_parts(shape, parts, kBlasTile, n_threads,
               [&](std::int64_t row, std::int64_t end_row, std::int64_t col, std::int64_t end_col) {
                   // Row by row is column by column of the transpose: C^T = op(B)^T op(A)^T.
                   char ta = transpose_a ? 'T' : 'N', tb = transpose_b ? 'T' : 'N';
                   int m = static_cast<int>(end_row - row), n = static_cast<int>(end_col - col);
                   int k = static_cast<int>(shape.k);
                   limit_blas_of_pool();
                   // BLAS wants strides of at least 1, of empty matrices too.
                   const auto stride_of = [](std::int64_t stride, std::int64_t cols) {
                       return static_cast<int>(std::max<std::int64_t>({stride, cols, 1}));
                   };
                   int lda = stride_of(a.stride, a.cols), ldb = stride_of(b.stride, b.cols),
                       ldc = stride_of(c.stride, c.cols);
                   T scale = alpha, keep = beta;
                   product(&tb, &ta, &n, &m, &k, &scale, const_cast<T*>(cols_of(transpose_b, b, col)), &ldb,
                           const_cast<T*>(rows_of(transpose_a, a, row)), &lda, &keep, c.row(row) + col, &ldc);
               });
}

FASTCF_INSTANTIATE_GEMM(float)
FASTCF_INSTANTIATE_GEMM(double)

}  // namespace fastcf
