// Matrix factorisation of choices among all cells by alternating least squares: minimises
//     sum over choices c (1 - p.q)^2 + unobserved sum over all cells (p.q)^2
//         + reg (sum_u (n_u + unobserved n_items)^reg_exponent |p|^2 + the same of items)
// with n the sum of a row's c (S. Rendle, W. Krichene, L. Zhang and Y. Koren, "Revisiting the performance of iALS on
// item recommendation benchmarks", RecSys 2022). Owns the choices by user and by item and the factors. A half-sweep is
// two calls: the Gram matrix of the side that stands still, whose axes the caller finds, and the solution of the other
// side in these axes (ops/als.h). Written against csrc/ops only.
#pragma once

#include <cstdint>

#include "core/memory.h"
#include "core/state.h"
#include "core/view.h"
#include "ops/als.h"
#include "train/factors.h"

namespace fastcf {

struct ImplicitConfig {
    std::int64_t n_factors = 0;
    double reg = 0;
    double reg_exponent = 1;
    double unobserved = 0;
    int cg_steps = 0;        // as in ops/als.h
    std::int64_t block = 0;  // factors solved at a time, exactly, the others standing still; 0: all
    int n_threads = 0;
};

class ImplicitTrainer {
  public:
    // Values: c, above 0, or none: all are 1. by_item: the same choices by item, whose columns are users; that both
    // orders hold the same choices is not checked.
    ImplicitTrainer(const CsrView& choices, const CsrView& by_item, const ImplicitConfig& config);

    void set_parameters(const FactorArrays& from);
    void get_parameters(const FactorArrays& to) const;

    std::int64_t n_factors() const { return config_.n_factors; }

    // The Gram matrix (k, k) of users' or items' factors, in memory of the host.
    void gram(bool users, MatrixView<double> out) const;

    // Turns all factors into the axes in which the other side's Gram matrix is diagonal: the columns of `basis`
    // (k, k), with its diagonal `spectrum` (k,), both memory of the host. Then solves for users or items; returns the
    // sum of c (1 - p.q)^2.
    double update(bool users, MatrixView<const float> basis, VectorView<const float> spectrum);

    // At the current factors: the sum of c (1 - p.q)^2, and reg times the weighted squares.
    double squared_error();
    double penalty() const;

    void save_best();
    void restore_best();
    void list_state(StateFields& fields);

  private:
    struct Side {
        DeviceArray<std::int64_t> indptr;
        DeviceArray<std::int32_t> columns;
        DeviceArray<float> weights, penalties;
        DeviceArray<float> residuals;  // with blocks
        std::int64_t rows = 0, cols = 0;
    };

    static Side make_side(const CsrView& choices, const ImplicitConfig& config);
    void rotate(DeviceArray<float>& factors, std::int64_t rows, const DeviceArray<float>& basis);
    AlsProblem problem(const Side& side) const;
    double sum_of_errors(std::int64_t rows) const;
    double solve_in_blocks(bool users, VectorView<const float> spectrum);
    double solve(bool users, VectorView<const float> spectrum, bool only_errors);

    ImplicitConfig config_;
    Side user_, item_;
    DeviceArray<float> user_factors_, item_factors_, best_user_factors_, best_item_factors_, spare_;
    DeviceArray<double> squared_errors_;
    bool saved_ = false;
};

}  // namespace fastcf
