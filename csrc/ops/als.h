// Alternating least squares: the exact or approximate solution of every row of one side of a factorisation while the
// other side stands still, or a sample of its posterior.
//
// For row r with ratings y_e of columns c, weights w_e, targets t_e = y_e - row_offset_r - column_offset_c and the
// augmented columns a_c = (q_c, 1), or q_c without biases, the row x = (p_r, b_r) minimises
//     precision/2 sum w (t - a.x)^2 + 1/2 (x - mean)^T Prior (x - mean) + 1/2 reg n^reg_exponent |p|^2 + 1/2 bias_reg
//     b^2
// whose solution is A x = b with A = precision sum w a a^T + Prior + diag(...), b = precision sum w t a + Prior mean
// (Zhou et al., AAIM 2008; the Gibbs step of Salakhutdinov and Mnih, ICML 2008, adds R^-1 z with A = R^T R and
// z standard normal).
//
// Cost per rating and row: k^2 / 2 multiply-adds of the symmetric product, 4 k bytes fetched; per row (k + 1)^3 / 6
// multiply-adds of the factorisation. Rows of n ratings, n well below k, take the system of their ratings instead, n^2
// k / 2 and n^3 / 6: with a diagonal prior by the push-through identity, else by a draw from the prior corrected by
// what the ratings say (A. Journel and C. Huijbregts, "Mining Geostatistics", 1978, conditioning by kriging), in
// coordinates in which the prior is N(0, I); such a draw takes a normal per rating too, that of entry e in the row at
// `begin` being number 2 begin + e of random_fill's stream. Conjugate gradients: 4 k flops per rating and step instead
// of both. float32 sums and factorisation. Rows are independent: the same bits for any number of threads.
//
// Choices among all columns (Y. Koren et al., "Collaborative filtering for implicit feedback datasets", ICDM 2008): the
// term unobserved/2 sum over all columns (q.x)^2 adds unobserved G to A, G = sum q q^T. Whoever calls rotates rows and
// columns into the axes in which G is diagonal, its `spectrum`; products q.x stay what they were. Then the term costs k
// operations per row and step, rows of few ratings keep their small systems, and conjugate gradients are preconditioned
// by the diagonal penalty + G (unobserved + sum w / cols), which expects a row's columns to be like all columns.
//
// A GPU takes the normal equations of every row, however few its ratings, and therefore no normals but `noise`: its
// draws are others than the CPU's, of the same distribution.
#pragma once

#include <cstdint>

#include "core/check.h"
#include "core/view.h"

namespace fastcf {

// The side that stands still, and what is known of the ratings.
struct AlsProblem {
    CsrView ratings;                         // rows: the side to be solved; values: y; without values all are 1
    VectorView<const float> weights;         // one per rating, not negative, or empty
    MatrixView<const float> column_factors;  // (cols, k)
    VectorView<const float> row_offset;      // (rows,) or empty
    VectorView<const float> column_offset;   // (cols,) or empty; with the columns' biases
    float offset = 0;                        // of every rating
};

struct AlsPrior {
    double reg = 0;
    double reg_exponent = 0;
    double bias_reg = 0;
    double precision = 1;                // of a rating of weight 1
    MatrixView<const float> matrix;      // Prior, (d, d) with d = k + 1 or k, or empty: none
    VectorView<const float> prior_mean;  // (d,), with `matrix`
    VectorView<const float> penalties;   // (rows,): in place of reg n^reg_exponent, or empty
    double unobserved = 0;               // weight of all columns; without biases and without `matrix`
    VectorView<const float> spectrum;    // (k,): the diagonal of sum q q^T over all columns, with `unobserved`
};

struct AlsMethod {
    int cg_steps = 0;               // 0: exact, by Cholesky's factorisation; else conjugate gradients from where x is
    MatrixView<const float> noise;  // (rows, d) standard normals to draw with, or empty; exact only
    std::uint64_t noise_seed = 0;   // further normals come from its stream 0; see below
    // (rows,) or empty; becomes sum w (t - a.x)^2 of each row's solution, while its columns are in the cache. A pass of
    // its own took 13 % of a sweep with 3 steps of conjugate gradients (1.8 M ratings, k = 64).
    VectorView<double> squared_errors;
    // (nnz,) or empty: what the whole model leaves of the targets, t - a.x, of which `factors` and `column_factors` may
    // be some columns. They take the place of the targets, and become what is left after the update: blocks of factors
    // one after the other (S. Rendle, W. Krichene, L. Zhang and Y. Koren, "iALS++", 2021). Without biases.
    VectorView<float> residuals;
    // Rows stay as they are, and only their squared errors, and `residuals` of the targets, are computed.
    bool only_errors = false;
};

// Solves every row: factors (rows, k) and bias (rows,), empty without biases. Rows without ratings become 0 where there
// is no `matrix`. Directions that neither ratings nor prior determine (to rounding) become 0.
// Throws std::invalid_argument for shapes that disagree.
void als_update(const AlsProblem& problem, const AlsPrior& prior, const AlsMethod& method, MatrixView<float> factors,
                VectorView<float> bias, int n_threads);

// What als_update asks on every device.
inline void check_als(const AlsProblem& problem, const AlsPrior& prior, const AlsMethod& method,
                      MatrixView<float> factors, VectorView<float> bias) {
    const char* caller = "als_update";
    const std::int64_t rows = problem.ratings.rows, cols = problem.ratings.cols, k = factors.cols;
    const std::int64_t d = k + (bias.empty() ? 0 : 1);
    const auto length = [&](const VectorView<const float>& v, std::int64_t n, const char* name) {
        check(v.empty() || v.size == n, caller, ": ", name, " must have ", n, " entries; got ", v.size);
    };
    check(k > 0, caller, ": factors must have at least one column; got 0");
    check(factors.rows == rows, caller, ": factors must have one row per row of the ratings (", rows, "); got ",
          factors.rows);
    check(problem.column_factors.rows == cols && problem.column_factors.cols == k, caller,
          ": column_factors must have shape (", cols, ", ", k, "); got (", problem.column_factors.rows, ", ",
          problem.column_factors.cols, ")");
    check(bias.empty() || bias.size == rows, caller, ": bias must have ", rows, " entries; got ", bias.size);
    length(problem.weights, problem.ratings.nnz(), "weights");
    length(problem.row_offset, rows, "row_offset");
    length(problem.column_offset, cols, "column_offset");
    length(prior.penalties, rows, "penalties");
    length(prior.spectrum, k, "spectrum");
    check(prior.unobserved >= 0, caller, ": unobserved must not be negative; got ", prior.unobserved);
    check(prior.spectrum.empty() || (bias.empty() && prior.matrix.data == nullptr), caller,
          ": a spectrum goes with neither a bias nor a prior");
    check(prior.reg >= 0 && prior.bias_reg >= 0 && prior.precision > 0, caller,
          ": reg and bias_reg must not be negative and precision must be positive; got ", prior.reg, ", ",
          prior.bias_reg, " and ", prior.precision);
    if (prior.matrix.data != nullptr) {
        check(prior.matrix.rows == d && prior.matrix.cols == d && prior.prior_mean.size == d, caller,
              ": prior and prior_mean must have shapes (", d, ", ", d, ") and (", d, ",)");
        check(method.cg_steps == 0, caller, ": a prior matrix needs cg_steps = 0; got ", method.cg_steps);
    }
    check(method.squared_errors.empty() || method.squared_errors.size == rows, caller,
          ": squared_errors must have one entry per row of the ratings (", rows, "); got ", method.squared_errors.size);
    check(!method.only_errors || !method.squared_errors.empty(), caller, ": only_errors needs squared_errors");
    length({method.residuals.data, method.residuals.size}, problem.ratings.nnz(), "residuals");
    check(method.residuals.empty() || bias.empty(), caller, ": residuals go without a bias");
    check(method.cg_steps >= 0, caller, ": cg_steps must not be negative; got ", method.cg_steps);
    if (method.noise.data != nullptr) {
        check(method.noise.rows == rows && method.noise.cols == d, caller, ": noise must have shape (", rows, ", ", d,
              "); got (", method.noise.rows, ", ", method.noise.cols, ")");
        check(method.cg_steps == 0, caller, ": noise needs cg_steps = 0; got ", method.cg_steps);
    }
}

}  // namespace fastcf
