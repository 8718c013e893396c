#include "cuda/blas.h"
#include "cuda/kernel.h"
#include "cuda/staging.h"
#include "ops/gemm.h"

namespace fastcf {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 64;          // rows and columns of C per block
constexpr int kDepth = 16;         // of the inner dimension at a time
constexpr int kMicro = 4;          // rows and columns per thread
constexpr int kPitch = kTile + 1;  // another bank for every step along the inner dimension

// Element (row, depth) of op(X), 0 outside.
template <class T>
FASTCF_DEVICE T element(Global<const T> x, std::int64_t stride, bool transpose, std::int64_t row, std::int64_t rows,
                        std::int64_t depth, std::int64_t k) {
    if (row >= rows || depth >= k) return T(0);
    return transpose ? x[depth * stride + row] : x[row * stride + depth];
}

// One tile of 64 x 64 of C per block, from tiles of 64 x 16 in shared memory: 2 m n k flops, (1/64 + 1/64) m n k
// elements read. Bound by the multipliers and, with 4 x 4 results per thread, by reading shared memory: 8 elements for
// 16 multiply-adds; for use where cuBLAS cannot be loaded. 256 threads, 8,320 bytes of shared memory in float32.
// Deterministic.
template <class T>
FASTCF_KERNEL(kThreads, 2)
void gemm_kernel(bool transpose_a, bool transpose_b, T alpha, Global<const T> a, std::int64_t a_stride,
                 Global<const T> b, std::int64_t b_stride, T beta, Global<T> c, std::int64_t c_stride, std::int64_t m,
                 std::int64_t n, std::int64_t k) {
    FASTCF_SHARED(T, a_tile, kDepth * kPitch);
    FASTCF_SHARED(T, b_tile, kDepth * kPitch);
    const std::int64_t first_row = blockIdx.y * static_cast<std::int64_t>(kTile);
    const std::int64_t first_col = blockIdx.x * static_cast<std::int64_t>(kTile);
    const int thread = static_cast<int>(threadIdx.x);
    const int col = thread % (kTile / kMicro), row = thread / (kTile / kMicro);
    T sums[kMicro][kMicro] = {};
    for (std::int64_t k0 = 0; k0 < k; k0 += kDepth) {
        for (int e = thread; e < kTile * kDepth; e += kThreads) {
            // Neighbouring threads take neighbouring elements of memory.
            const int along_a = transpose_a ? e % kTile : e / kDepth, depth_a = transpose_a ? e / kTile : e % kDepth;
            const int along_b = transpose_b ? e / kDepth : e % kTile, depth_b = transpose_b ? e % kDepth : e / kTile;
            a_tile[depth_a * kPitch + along_a] =
                element<T>(a, a_stride, transpose_a, first_row + along_a, m, k0 + depth_a, k);
            b_tile[depth_b * kPitch + along_b] =
                element<T>(b, b_stride, !transpose_b, first_col + along_b, n, k0 + depth_b, k);
        }
        block_sync();
        for (int d = 0; d < kDepth; ++d) {
            T left[kMicro], right[kMicro];
            for (int i = 0; i < kMicro; ++i) left[i] = a_tile[d * kPitch + row + i * (kTile / kMicro)];
            for (int i = 0; i < kMicro; ++i) right[i] = b_tile[d * kPitch + col + i * (kTile / kMicro)];
            for (int i = 0; i < kMicro; ++i)
                for (int j = 0; j < kMicro; ++j) sums[i][j] += left[i] * right[j];
        }
        block_sync();
    }
    for (int i = 0; i < kMicro; ++i) {
        const std::int64_t r = first_row + row + i * (kTile / kMicro);
        for (int j = 0; j < kMicro; ++j) {
            const std::int64_t s = first_col + col + j * (kTile / kMicro);
            if (r >= m || s >= n) continue;
            T result = alpha * sums[i][j];
            if (beta != T(0)) result += beta * c[r * c_stride + s];
            c[r * c_stride + s] = result;
        }
    }
}

}  // namespace

template <class T>
void gemm(bool transpose_a, bool transpose_b, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
          MatrixView<T> c, int) {
    const GemmShape shape = check_gemm(transpose_a, transpose_b, a, b, c);
    if (shape.m == 0 || shape.n == 0) return;
    const In<T> left(a), right(b);
    const InOut<T> out(c);
    if (!blas_gemm(transpose_a, transpose_b, shape, alpha, left.data(), a.stride, right.data(), b.stride, beta,
                   out.data(), c.stride)) {
        // As many rows at a time as a grid has.
        constexpr std::int64_t kMostRows = std::int64_t{65535} * kTile;
        for (std::int64_t first = 0; first < shape.m; first += kMostRows) {
            const std::int64_t rows = std::min(kMostRows, shape.m - first);
            FASTCF_LAUNCH(gemm_kernel<T>, Grid(blocks_for(shape.n, kTile), blocks_for(rows, kTile)), kThreads, 0,
                          transpose_a, transpose_b, alpha, left.data() + first * (transpose_a ? 1 : a.stride), a.stride,
                          right.data(), b.stride, beta, out.data() + first * c.stride, c.stride, rows, shape.n,
                          shape.k);
        }
    }
    out.finish();
}

FASTCF_INSTANTIATE_GEMM(float)
FASTCF_INSTANTIATE_GEMM(double)

}  // namespace fastcf
