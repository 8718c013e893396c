// The inverse of a symmetric positive definite matrix, in its place.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/view.h"

namespace fastcf {

// a <- a^-1, by sweeps of blocks of columns (the sweep operator: J. H. Goodnight, "A tutorial on the SWEEP operator",
// The American Statistician 33, 1979): with P the inverse of the diagonal block k and U = A_ik P, A_ij <- A_ij - U
// A_kj, A_ik <- U, A_kk <- -P; after all blocks A holds minus the inverse. Returns -1; else the first row whose pivot,
// what is left of its diagonal entry, is not above 1e-6 of that entry or not finite: the matrix is not positive
// definite in float32, and `a` then holds anything.
//
//   a              (n, n); of the input the lower triangle (j <= i) is read; the result is symmetric, bit for bit
//   numbers        float32, pivots of 64 x 64 blocks in float64. Blocks depend on n alone.
//   accuracy       of more than 64 rows errors grow with the square of the condition where half of the eigenvalues are
//                  near the least: 8e-4 of the largest eigenvalue of the inverse at a condition of 1,000, a tenth at
//                  10,000, where potrf and potri have 1e-5 and 1e-4. On Gram matrices of choices, whose eigenvalues
//                  fall slowly, 2e-5 at 7,000.
//   deterministic  yes, for any number of threads. LAPACK's potrf and potri are not: half of the elements of the
//   inverse
//                  of a 3,000 x 3,000 matrix differ between one thread and two of OpenBLAS's, whose threads also spin
//                  on a machine that does other work (1.0 + 1.7 s on one thread, 12 + 21 s on two). Nor can they be
//                  interrupted.
//   cost           n^3 flops, as many as potrf and potri, all but n b^2 of them in products of blocks (ops/gemm.h):
//                  bound by the multipliers. 2 n b floats of scratch with b = 512, 256 where n is at most 4096.
//
// Throws std::invalid_argument where the matrix is not square.
std::int64_t spd_inverse(MatrixView<float> a, int n_threads);

inline constexpr std::int64_t kSweptAtOnce = 64;  // pivots of a block that is swept in float64
inline constexpr double kLeastPivot = 1e-6;       // of the diagonal entry

// Columns of a block, for every size.
inline std::int64_t sweep_width(std::int64_t n) {
    return n > 4096 ? 512 : n > 512 ? 256 : kSweptAtOnce;
}

inline void check_spd_inverse(const MatrixView<float>& a) {
    check(a.rows == a.cols, "spd_inverse: the matrix must be square; got (", a.rows, ", ", a.cols, ")");
}

}  // namespace fastcf
