// Weighted products of the columns of a sparse matrix, dense: what linear item models are solved from.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/view.h"

namespace fastcf {

struct GramProblem {
    CsrView rows;                          // (n_rows, n) without values; columns ascend within a row
    const float* left = nullptr;           // z: a value per entry; null: 1
    const float* right = nullptr;          // x: a value per entry of the same entries; null: z
    VectorView<const double> row_weights;  // (n_rows,) or empty: 1
    int n_threads = 0;
};

// out_ij = sum over rows u of w_u z_ui x_uj: Z^T W X, for x = z the Gram matrix Z^T W Z.
//
//   out            (n, n), written completely; n < 2^31. Symmetric, bit for bit, where x is z.
//   numbers        sums in float64 in the order of the rows, rounded to float32 once: the error of an element is half a
//                  unit in its last place
//   deterministic  yes: a row of `out` is the work of one thread, on a GPU of one block
//   cost           sum of n_u^2 additions into a row of n sums that stays in a cache, half of them where x is z; with
//                  one thread and values of 1 about a nanosecond each. Never a dense product, no second matrix: scratch
//                  is 8 n bytes a thread and 12 bytes an entry
//
// Throws std::invalid_argument for shapes that disagree, columns out of range and columns that do not ascend.
void gram(const GramProblem& problem, MatrixView<float> out);

// What gram() on every device asks of its arguments. The structure is in the host's memory.
inline void check_gram(const GramProblem& problem, const MatrixView<float>& out) {
    const CsrView& rows = problem.rows;
    check(rows.cols <= std::numeric_limits<std::int32_t>::max(), "gram: columns must be fewer than 2^31; got ",
          rows.cols);
    check(out.rows == rows.cols && out.cols == rows.cols, "gram: the result must be (", rows.cols, ", ", rows.cols,
          "); got (", out.rows, ", ", out.cols, ")");
    check(problem.row_weights.empty() || problem.row_weights.size == rows.rows,
          "gram: row_weights must have one entry per row (", rows.rows, "); got ", problem.row_weights.size);
    for (std::int64_t u = 0; u < rows.rows; ++u)
        for (std::int64_t e = rows.indptr[u] + 1; e < rows.indptr[u + 1]; ++e)
            check(rows.indices[e - 1] < rows.indices[e], "gram: indices must ascend within each row; those of row ", u,
                  " do not, at entry ", e);
}

// For every column the entries that hold it, by ascending row.
struct GramColumns {
    std::vector<std::int64_t> starts;   // (n + 1,)
    std::vector<std::int64_t> entries;  // (nnz,)
    std::vector<std::int32_t> owners;   // (nnz,), the row of each of these entries
};

inline GramColumns gram_columns(const CsrView& rows) {
    const auto n = static_cast<std::size_t>(rows.cols), nnz = static_cast<std::size_t>(rows.nnz());
    GramColumns columns{std::vector<std::int64_t>(n + 1), std::vector<std::int64_t>(nnz),
                        std::vector<std::int32_t>(nnz)};
    std::int64_t* starts = columns.starts.data();
    for (std::size_t e = 0; e < nnz; ++e) ++starts[rows.indices[e] + 1];
    for (std::size_t i = 0; i < n; ++i) starts[i + 1] += starts[i];
    for (std::int64_t u = 0; u < rows.rows; ++u) {
        for (std::int64_t e = rows.indptr[u]; e < rows.indptr[u + 1]; ++e) {
            const auto place = static_cast<std::size_t>(starts[rows.indices[e]]++);
            columns.entries[place] = e;
            columns.owners[place] = static_cast<std::int32_t>(u);
        }
    }
    std::copy_backward(starts, starts + n, starts + n + 1);
    starts[0] = 0;
    return columns;
}

}  // namespace fastcf
