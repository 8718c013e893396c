// The effects of the rows' features on their vectors, in a factorisation whose row r is x_r = v_r + E f_r: a part of
// its own, and what its features explain (J. Simm et al., "Macau: scalable Bayesian multi-relational factorization with
// side information using MCMC", 2015). Features that say which columns a row rated make this SVD++ (Y. Koren, KDD
// 2008).
//
// For row r with ratings y_e of columns c, weights w_e and augmented columns a_c = (q_c, 1), or q_c without biases, the
// residuals are e = y - a.x, and the effects, (d, features), have the prior N(0, Prior^-1) for every feature. One sweep
// draws each entry E_fj from its distribution given the ratings, all other entries and every v_r:
//     s_r = precision sum w a_f^2,   h_r = precision sum w a_f e      over the ratings of row r
//     E_fj ~ N((sum_r x_rj h_r + E_fj sum_r x_rj^2 s_r - sum_(g != f) Prior_fg E_gj) / A, 1 / A),
//     A = sum_r x_rj^2 s_r + Prior_ff
// Without noise each entry becomes the mean: a sweep of coordinate descent. The ratings see the sum of both parts, so
// that the effects move freely where a row has few ratings; to draw them given the rows x_r instead (which takes
// 4 d flops per stored feature) mixes ten times as slowly there.
//
// Cost: per entry f, 7 flops and 20 bytes per rating, and 9 flops and 48 bytes, 24 of them from cache, per stored
// feature, so 16 d flops per rating where the features say what was rated; d^2 / 2 multiply-adds per feature for the
// prior. Bound by fetching; no vectors. Beside the arrays 4 d (features) + 24 (rows) + 8 (cols) bytes. Loops over rows
// take all threads; the sweep over features, half of the time, is a chain of dependent steps and takes one, for which
// reason there is no version for GPUs. Deterministic: the same bits for any number of threads.
#pragma once

#include "core/check.h"
#include "core/view.h"

namespace fastcf {

struct FeaturedRows {
    CsrView ratings;                         // rows x columns; values are not used
    VectorView<const float> weights;         // one per rating, not negative, or empty
    MatrixView<const float> column_factors;  // (cols, k)
    CsrView features;                        // features x rows, with values: x_rj
    double precision = 1;                    // of a rating of weight 1
    MatrixView<const float> prior;           // (d, d) with d = k + 1 or k
    MatrixView<const float> noise;           // (d, features) standard normals, or empty
};

// Changes `effects` (d, features), and by what they change `residuals` (nnz), `factors` (rows, k) and `bias` (rows,),
// empty without biases; the last two may hold x_r or only the features' part of it.
// Throws std::invalid_argument for shapes that disagree.
void feature_effects(const FeaturedRows& rows, MatrixView<float> effects, VectorView<float> residuals,
                     MatrixView<float> factors, VectorView<float> bias, int n_threads);

}  // namespace fastcf
