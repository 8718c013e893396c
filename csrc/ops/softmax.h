// The multinomial cost of rows of scores, and its gradient.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastcf {

// What the rows chose: compressed rows of columns, each once in a row, and their strengths, not negative.
template <class T>
struct ChosenRows {
    const std::int64_t* indptr = nullptr;   // (rows + 1,)
    const std::int32_t* columns = nullptr;  // (n,)
    const T* strengths = nullptr;           // (n,)
    std::int64_t rows = 0;
    std::int64_t n = 0;
};

// With s = scores + bias, x_r the strengths of row r at its columns and 0 elsewhere, and X_r their sum:
//   *sum += sum over rows r and columns c of -x_rc log softmax(s_r)_c, and
//   scores_rc <- scale (X_r softmax(s_r)_c - x_rc), its gradient.
// bias, one per column, may be empty; so may rows, which cost nothing. `sum` lies where the device can write it. The
// cost of a row is x_r . (log of the sum of e^(s_r - m) - (s_r - m)) with m = max s_r: no overflow, whatever the
// scores. Defined for float and double. A row is the work of one thread (a block on a GPU), exponentials are added in
// an order fixed by the number of columns, rows in float64 in theirs: the same bits for any number of threads. Cost:
// scores are read and written three times, once from memory where a row fits the cache; an exponential each. Columns
// and indptr are taken as valid. Throws std::invalid_argument for shapes that disagree.
template <class T>
void softmax_gradient(const ChosenRows<T>& chosen, VectorView<const T> bias, double scale, MatrixView<T> scores,
                      double* sum, int n_threads);

template <class T>
void check_softmax_gradient(const ChosenRows<T>& chosen, const VectorView<const T>& bias, const MatrixView<T>& scores) {
    check(chosen.rows == scores.rows, "softmax_gradient: scores must have ", chosen.rows, " rows; got ", scores.rows);
    check(bias.empty() || bias.size == scores.cols, "softmax_gradient: bias must have one entry per column (",
          scores.cols, "); got ", bias.size);
    check(chosen.n == 0 || scores.cols > 0, "softmax_gradient: scores must have columns where something is chosen");
}

// Both element types, for the end of an implementation.
#define FASTCF_INSTANTIATE_SOFTMAX(T) \
    template void softmax_gradient<T>(const ChosenRows<T>&, VectorView<const T>, double, MatrixView<T>, double*, int);

}  // namespace fastcf
