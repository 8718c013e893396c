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
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastcf {

// The side that stands still, and what is known of the ratings.
struct AlsProblem {
    CsrView ratings;                         // rows: the side to be solved; values: y
    VectorView<const float> weights;         // one per rating, or empty
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
};

struct AlsMethod {
    int cg_steps = 0;               // 0: exact, by Cholesky's factorisation; else conjugate gradients from where x is
    MatrixView<const float> noise;  // (rows, d) standard normals to draw with, or empty; exact only
    std::uint64_t noise_seed = 0;   // further normals come from its stream 0; see below
    // (rows,) or empty; becomes sum w (t - a.x)^2 of each row's solution, while its columns are in the cache. A pass of
    // its own took 13 % of a sweep with 3 steps of conjugate gradients (1.8 M ratings, k = 64).
    VectorView<double> squared_errors;
};

// Solves every row: factors (rows, k) and bias (rows,), empty without biases. Rows without ratings become 0 where there
// is no `matrix`. Directions that neither ratings nor prior determine (to rounding) become 0.
// Throws std::invalid_argument for shapes that disagree.
void als_update(const AlsProblem& problem, const AlsPrior& prior, const AlsMethod& method, MatrixView<float> factors,
                VectorView<float> bias, int n_threads);

}  // namespace fastcf
