// The objective of matrix factorisation on sparse ratings, and its gradient, in one go.
#pragma once

#include <cstdint>

#include "core/view.h"
#include "math/loss.h"

namespace fastcf {

// With z_ui = offset_i + b_u + b_i + <p_u, q_i> (math/mf.h), over stored ratings only,
//
//   J = sum w_ui loss(z_ui, y_ui) + 1/2 sum_u (reg_u |p_u|^2 + bias_reg_u b_u^2) + the same over items,
//
// and with e_ui = w_ui loss'(z_ui, y_ui) the gradient is
//
//   dJ/dp_u = sum_i e_ui q_i + reg_u p_u,   dJ/db_u = sum_i e_ui + bias_reg_u b_u,   and likewise for items.
//
// Koren, Bell and Volinsky, "Matrix factorization techniques for recommender systems", IEEE Computer 42(8), 2009; for
// the logistic cost, Johnson, "Logistic matrix factorization for implicit feedback data", NIPS workshop 2014.

// Ratings by user, and where each stands by item. Indices are taken as valid.
template <class T>
struct MfRatings {
    const std::int64_t* indptr = nullptr;        // (n_users + 1,)
    const std::int32_t* items = nullptr;         // (nnz,)
    const T* values = nullptr;                   // (nnz,)
    const T* weights = nullptr;                  // (nnz,) or null: 1
    const std::int64_t* item_indptr = nullptr;   // (n_items + 1,)
    const std::int32_t* users = nullptr;         // (nnz,), user of each rating, by item
    const std::int64_t* item_entries = nullptr;  // (nnz,), position of each rating in the order by user
    std::int64_t n_users = 0;
    std::int64_t n_items = 0;
    std::int64_t entries = -1;  // nnz; -1: indptr, which the host can read, says

    std::int64_t nnz() const { return entries >= 0 ? entries : n_users == 0 ? 0 : indptr[n_users]; }
};

// Factors (n_users, k) and (n_items, k); biases (n_users,) and (n_items,), or both null: a model without them.
template <class T>
struct MfParameters {
    T* user_factors = nullptr;
    T* item_factors = nullptr;
    T* user_bias = nullptr;
    T* item_bias = nullptr;
    std::int64_t k = 0;
    std::int64_t stride = 0;  // elements from one row of factors to the next
};

// What is fixed while parameters change. Penalties are per row, or null: none.
template <class T>
struct MfObjective {
    Loss loss = Loss::squared;
    const T* item_offset = nullptr;  // (n_items,) or null: global_offset for every item
    T global_offset = 0;
    const T* user_reg = nullptr;
    const T* item_reg = nullptr;
    const T* user_bias_reg = nullptr;
    const T* item_bias_reg = nullptr;
};

struct MfCost {
    double loss = 0;     // the sum over ratings
    double penalty = 0;  // the other sums
};

// These are defined for float and double; arithmetic is in T, sums of the cost in float64. An order fixed by the
// ratings, k and the instruction set or device: the same bits for any number of threads, and for every run on a device.

// Gradients overwrite `gradient`, and what lies between its rows; they may not overlap the parameters. `errors` (nnz,)
// receives e by user: one pass over the ratings by user yields the cost, e and the users' gradients, one over the
// ratings by item the items' from e. Cost: 2 k multiply-adds and 2 k elements fetched per rating and pass; bound by
// fetching factor rows (from cache where one side's factors fit), which are prefetched. A row of very many ratings is
// cut on a device. `cost` (2,) receives the loss and the penalty; on a device's memory nobody waits for them.
template <class T>
void mf_gradient(const MfRatings<T>& ratings, const MfObjective<T>& objective, const MfParameters<const T>& at,
                 const MfParameters<T>& gradient, T* errors, double* cost, int n_threads);

template <class T>
MfCost mf_gradient(const MfRatings<T>& ratings, const MfObjective<T>& objective, const MfParameters<const T>& at,
                   const MfParameters<T>& gradient, T* errors, int n_threads) {
    double cost[2];
    mf_gradient(ratings, objective, at, gradient, errors, cost, n_threads);
    return {cost[0], cost[1]};
}

// out[e] = z at every stored rating by user, or sigmoid(z) where the loss is logistic. Uses indptr and items only.
template <class T>
void mf_predict(const MfRatings<T>& ratings, const MfObjective<T>& objective, const MfParameters<const T>& at, T* out,
                int n_threads);

// What every device defines.
#define FASTCF_INSTANTIATE_MF_GRADIENT(T)                                                                  \
    template void mf_gradient<T>(const MfRatings<T>&, const MfObjective<T>&, const MfParameters<const T>&, \
                                 const MfParameters<T>&, T*, double*, int);                                \
    template void mf_predict<T>(const MfRatings<T>&, const MfObjective<T>&, const MfParameters<const T>&, T*, int);

}  // namespace fastcf
