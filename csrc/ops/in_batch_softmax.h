// The softmax cost of choices among the items of a batch, and its gradient.
#pragma once

#include <cstdint>

#include "core/check.h"
#include "core/view.h"

namespace fastcf {

// What the users of a batch chose among its items: compressed rows, the items of a row distinct.
template <class T>
struct BatchChoices {
    const std::int64_t* indptr = nullptr;  // (users + 1,)
    const std::int32_t* items = nullptr;   // columns of the scores
    const T* weights = nullptr;            // one per choice; nullptr: all 1
    std::int64_t n = 0;
};

// With s the scores of a batch's users and items, C_u what user u chose, and o_j an item's log-weight:
//   rest_u = log(sum of exp(s_uj + o_j) over the items j outside C_u)
//   cost   = sum of w_ui log(1 + exp(rest_u - s_ui)) over all choices (u, i)
// that is -log of exp(s_ui) / (exp(s_ui) + exp(rest_u)): a choice against all items that the user did not choose. The
// weights exp(o_j) say how many of an item there are. Items that the user chose are no alternatives to each other.
// Without alternatives the cost of a row is 0.
//
// Replaces the scores by the gradient and adds the cost to *cost, which lies where the device can write it. Defined for
// float and double; sums are float64, in an order fixed by the shape: the same bits for any number of threads. Per
// score three passes over a row that stays in the cache, and one exponential: on the CPU bound by arithmetic, some 20
// flops a score, beside 6 k for the products of k factors before and after it. Throws std::invalid_argument for lengths
// that disagree.
template <class T>
void in_batch_softmax(MatrixView<T> scores, const BatchChoices<T>& choices, VectorView<const T> offsets, double* cost,
                      int n_threads);

template <class T>
void check_in_batch_softmax(const MatrixView<T>& scores, const VectorView<const T>& offsets) {
    check(offsets.size == scores.cols, "in_batch_softmax: offsets must have ", scores.cols, " entries; got ",
          offsets.size);
}

// Both element types, for the end of an implementation.
#define FASTCF_INSTANTIATE_IN_BATCH_SOFTMAX(T) \
    template void in_batch_softmax<T>(MatrixView<T>, const BatchChoices<T>&, VectorView<const T>, double*, int);

}  // namespace fastcf
