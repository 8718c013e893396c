// The effects of the rows' features on their vectors, in a factorisation whose row r is x_r = v_r + E f_r: a part of
// its own, and what its features explain (J. Simm et al., "Macau: scalable Bayesian multi-relational factorization with
// side information using MCMC", 2015). Features that say which columns a row rated make this SVD++ (Y. Koren, KDD
// 2008).
//
// For row r with ratings y_e of columns c, weights w_e and augmented columns a_c = (q_c, 1), or q_c without biases, the
// residuals are e = y - a.x, and the effects, (d, features), have the prior N(0, Prior^-1) for every feature. One sweep
// takes four entries E_Bj of a feature at once and draws them from their distribution given the ratings, all other
// entries and every v_r:
//     S_r = precision sum w a_B a_B^T,   h_r = precision sum w a_B e      over the ratings of row r
//     A = sum_r x_rj^2 S_r + Prior_BB,   E_Bj ~ N(A^-1 b, A^-1),
//     b = sum_r x_rj h_r + sum_r x_rj^2 S_r E_Bj - sum over entries g beside B of Prior_Bg E_gj
// with A = R^T R by R^-1 times four normals; entries that nothing determines, to rounding, become 0. Without noise each
// four become their mean: coordinate descent by blocks. The ratings see the sum of both parts, so that the effects move
// freely where a row has few ratings; drawn given the rows x_r instead (which takes 4 d flops per stored feature) they
// hardly move there.
//
// Cost, per four entries: 48 flops and 44 bytes per rating, and 80 flops and 200 bytes, most of them from cache, per
// stored feature, so 32 d flops per rating where the features say what was rated; d^2 / 2 multiply-adds per feature for
// the prior. Vectors of four. Beside the arrays 96 (rows) + 32 (cols) + 16 (features) bytes. Loops over rows take all
// threads; the sweep over features, half of the time, is a chain of dependent steps and takes one, for which reason
// there is no version for GPUs. Deterministic: the same bits for any number of threads.
#pragma once

#include "core/check.h"
#include "core/view.h"

namespace fastcf {

inline constexpr int kEffectBlock = 4;  // entries drawn together

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
