// Products of dense matrices.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/view.h"

namespace fastcf {

// C <- alpha op(A) op(B) + beta C with op(X) = X or its transpose; C must not overlap A or B. With beta = 0 what C
// holds is not read. Defined for float and double. 2 m n k flops. The same bits for any number of threads.
// On the CPU by the BLAS that cpu/blas.h was given, which must itself run on one thread, or, in float32 and where that
// has shorter vectors than the processor, by cpu/gemm_kernels.cpp; on a GPU by cuBLAS where it can be loaded. Throws
// std::invalid_argument for shapes that disagree.
template <class T>
void gemm(bool transpose_a, bool transpose_b, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
          MatrixView<T> c, int n_threads);

struct GemmShape {
    std::int64_t m, n, k;
};

template <class T>
GemmShape check_gemm(bool transpose_a, bool transpose_b, const MatrixView<const T>& a, const MatrixView<const T>& b,
                     const MatrixView<T>& c) {
    const GemmShape shape{transpose_a ? a.cols : a.rows, transpose_b ? b.rows : b.cols, transpose_a ? a.rows : a.cols};
    const std::int64_t other_k = transpose_b ? b.cols : b.rows;
    check(shape.k == other_k, "gemm: the inner dimensions must agree; got ", shape.k, " and ", other_k);
    check(c.rows == shape.m && c.cols == shape.n, "gemm: the result must be (", shape.m, ", ", shape.n, "); got (",
          c.rows, ", ", c.cols, ")");
    for (const std::int64_t size : {shape.m, shape.n, shape.k, a.stride, b.stride, c.stride})
        check(size <= INT32_MAX, "gemm: dimensions must be below 2^31; got ", size);
    return shape;
}

// Both element types, for the end of an implementation.
#define FASTCF_INSTANTIATE_GEMM(T) \
    template void gemm<T>(bool, bool, T, MatrixView<const T>, MatrixView<const T>, T, MatrixView<T>, int);

}  // namespace fastcf
