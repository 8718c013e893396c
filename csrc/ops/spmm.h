// The product of a sparse matrix and a dense one: the sum of the rows that each sparse row names.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastcf {

// Compressed rows whose values may stand elsewhere, in another order.
template <class T>
struct SparseRows {
    const std::int64_t* indptr = nullptr;   // (rows + 1,)
    const std::int32_t* indices = nullptr;  // (n,), rows of x
    const std::int64_t* entries = nullptr;  // (n,), places among the values; null: 0, 1, 2, …
    const T* values = nullptr;              // (n,)
    std::int64_t rows = 0;
    std::int64_t n = 0;
};

// out_r = sum over the entries e of row r of values_e x_(index of e), and sums_r = sum of values_e; sums may be empty.
// Rows without entries become 0. With `accumulate`, out_r grows by that sum instead. `out` must not overlap x. Defined
// for float and double; sums of out are in T in the order of the entries, those of values in float64. One row is the
// work of one thread (a warp on a GPU): the same bits for any number of threads. Cost: cols multiply-adds and elements
// of x fetched per entry; bound by fetching. Indices and places are taken as valid. Throws std::invalid_argument for
// shapes that disagree.
template <class T>
void spmm(const SparseRows<T>& a, MatrixView<const T> x, MatrixView<T> out, VectorView<T> sums, int n_threads,
          bool accumulate = false);

template <class T>
void check_spmm(const SparseRows<T>& a, const MatrixView<const T>& x, const MatrixView<T>& out,
                const VectorView<T>& sums) {
    check(out.rows == a.rows && out.cols == x.cols, "spmm: the result must be (", a.rows, ", ", x.cols, "); got (",
          out.rows, ", ", out.cols, ")");
    check(sums.empty() || sums.size == a.rows, "spmm: sums must have one entry per row (", a.rows, "); got ",
          sums.size);
}

// Both element types, for the end of an implementation.
#define FASTCF_INSTANTIATE_SPMM(T) \
    template void spmm<T>(const SparseRows<T>&, MatrixView<const T>, MatrixView<T>, VectorView<T>, int, bool);

}  // namespace fastcf
