// The cost of choices beside items that were drawn before, and its gradient: what an epoch of ops/sampled.h descends,
// as a function of the parameters. For recorded costs and for gradient checks in double precision.
//
// Cost: (n_drawn + 1) 2k flops a choice, three times as many with the gradient, which is added up by one thread. The
// same bits for any number of threads. Runs on the host in every backend: it is called for a record of the cost and for
// gradient checks on small problems, never inside an epoch.
#pragma once

#include <cstdint>

#include "core/check.h"
#include "core/view.h"
#include "math/sampled.h"

namespace fastcf {

template <class T>
struct SampledProblem {
    MatrixView<const T> user_factors, item_factors;
    VectorView<const T> item_bias;                // may be empty
    VectorView<const std::int32_t> users, items;  // of every choice
    MatrixView<const std::int32_t> drawn;         // (n_choices, n_drawn); -1 does not count
    VectorView<const T> weights;                  // of every choice
    VectorView<const T> correction;  // (n_items,): added to scores of drawn items for softmax, else their weights
    SampledCost cost = SampledCost::bpr;
    // A row with n of the choices is penalised by reg n^reg_exponent |p|^2 / 2, an item's bias with its row.
    double reg = 0, reg_exponent = 0;
};

template <class T>
struct SampledGradient {
    MatrixView<T> user_factors, item_factors;
    VectorView<T> item_bias;
};

template <class T>
void check_sampled(const SampledProblem<T>& problem, const char* caller) {
    const std::int64_t n = problem.users.size;
    check(problem.user_factors.cols == problem.item_factors.cols, caller, ": item_factors must have ",
          problem.user_factors.cols, " columns, as user_factors; got ", problem.item_factors.cols);
    check(problem.items.size == n && problem.weights.size == n && problem.drawn.rows == n, caller,
          ": users, items, weights and drawn must have equal lengths; got ", n, ", ", problem.items.size, ", ",
          problem.weights.size, " and ", problem.drawn.rows);
    check(problem.drawn.cols <= INT32_MAX - 1, caller, ": drawn must have fewer than 2^31 - 1 columns");
    check(problem.item_bias.empty() || problem.item_bias.size == problem.item_factors.rows, caller,
          ": item_bias must have ", problem.item_factors.rows, " entries; got ", problem.item_bias.size);
    check(problem.correction.size == problem.item_factors.rows, caller, ": correction must have ",
          problem.item_factors.rows, " entries; got ", problem.correction.size);
    for (std::int64_t e = 0; e < n; ++e) {
        check(problem.users[e] >= 0 && problem.users[e] < problem.user_factors.rows, caller, ": users must lie in [0, ",
              problem.user_factors.rows, "); got ", problem.users[e], " at entry ", e);
        check(problem.items[e] >= 0 && problem.items[e] < problem.item_factors.rows, caller, ": items must lie in [0, ",
              problem.item_factors.rows, "); got ", problem.items[e], " at entry ", e);
        for (std::int64_t m = 0; m < problem.drawn.cols; ++m)
            check(problem.drawn.row(e)[m] >= -1 && problem.drawn.row(e)[m] < problem.item_factors.rows, caller,
                  ": drawn must lie in [-1, ", problem.item_factors.rows, "); got ", problem.drawn.row(e)[m],
                  " at row ", e);
    }
}

// For float and double. The sum over choices of weight times the cost, and the penalty.
template <class T>
double choice_cost(const SampledProblem<T>& problem, int n_threads);
// The same; fills the gradient.
template <class T>
double choice_cost_and_gradient(const SampledProblem<T>& problem, const SampledGradient<T>& gradient, int n_threads);

}  // namespace fastcf
