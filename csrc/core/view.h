// Non-owning views of the arrays that cross the language border: dense rows and compressed sparse rows.
#pragma once

#include <cstdint>

#include "core/check.h"

namespace fastcf {

// A C-contiguous row-major matrix; `stride` >= `cols` counts elements between rows.
template <class T>
struct MatrixView {
    T* data = nullptr;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t stride = 0;

    T* row(std::int64_t i) const { return data + i * stride; }
};

template <class T>
struct VectorView {
    T* data = nullptr;
    std::int64_t size = 0;

    T& operator[](std::int64_t i) const { return data[i]; }
    bool empty() const { return size == 0; }
};

// Compressed sparse rows. `values` may be null where only the structure matters. Who keeps the arrays on a device says
// how many entries there are.
struct CsrView {
    const std::int64_t* indptr = nullptr;
    const std::int32_t* indices = nullptr;
    const float* values = nullptr;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t entries = -1;  // -1: indptr says

    std::int64_t nnz() const { return entries >= 0 ? entries : rows == 0 ? 0 : indptr[rows]; }
    std::int64_t row_size(std::int64_t i) const { return indptr[i + 1] - indptr[i]; }
};

// O(rows): indptr starts at 0, never decreases and ends at `n_indices`.
inline void check_indptr(const CsrView& csr, std::int64_t n_indices, const char* caller) {
    check(csr.indptr[0] == 0, caller, ": indptr must start at 0; got ", csr.indptr[0]);
    for (std::int64_t i = 0; i < csr.rows; ++i)
        check(csr.indptr[i] <= csr.indptr[i + 1], caller, ": indptr must not decrease; it does after row ", i);
    check(csr.indptr[csr.rows] == n_indices, caller, ": indptr must end at the number of indices (", n_indices,
          "); got ", csr.indptr[csr.rows]);
}

// O(rows + nnz): a valid indptr, and every index in [0, cols).
inline void check_csr(const CsrView& csr, std::int64_t n_indices, const char* caller) {
    check_indptr(csr, n_indices, caller);
    bool valid = true;  // without a branch first, so that the compiler vectorises the usual case
    for (std::int64_t e = 0; e < n_indices; ++e) valid &= csr.indices[e] >= 0 && csr.indices[e] < csr.cols;
    for (std::int64_t e = 0; !valid && e < n_indices; ++e)
        check(csr.indices[e] >= 0 && csr.indices[e] < csr.cols, caller, ": indices must lie in [0, ", csr.cols,
              "); got ", csr.indices[e], " at entry ", e);
}

}  // namespace fastcf
