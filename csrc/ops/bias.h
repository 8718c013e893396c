// User and item biases of ratings, y_ui = m_i + mu + b_u + b_i + noise, by regularised least squares:
//     b_u = sum_i w (y - m_i - mu - b_i) / (sum w + lambda_user)     and the same for items.
//
// Where lambda is not given it is estimated: b_u ~ N(0, tau_user^2), noise ~ N(0, sigma^2), lambda_user = sigma^2 /
// tau_user^2, with the variances at their mean-field variational maximum (each update also counts the variance that the
// other effects keep). So strongly rated rows keep their own mean and rarely rated ones are shrunk, by as much as the
// data says.
//
// Cost: 2 flops and 8 bytes per rating and iteration, one pass; bound by memory. Deterministic: users are summed row
// by row, items in a fixed number of chunks added in order.
#pragma once

#include "core/view.h"

namespace fastcf {

struct BiasOptions {
    double user_reg = -1;  // negative: estimate it
    double item_reg = -1;
    int max_iterations = 50;
    double tolerance = 1e-4;  // stop when no iteration moves mu, a lambda or the noise by more than this share
};

struct BiasFit {
    double mean = 0;  // mu
    double user_reg = 0;
    double item_reg = 0;
    double noise_variance = 0;  // sigma^2: what the biases leave in a rating of weight 1; weight w: sigma^2 / w
    int iterations = 0;
};

// Fills user_bias (rows) and item_bias (cols); rows without ratings get 0. `weights` (one per rating) and `item_offset`
// (m, one per item) may be empty. Throws Interrupted between iterations.
BiasFit fit_biases(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                   const BiasOptions& options, VectorView<float> user_bias, VectorView<float> item_bias, int n_threads);

}  // namespace fastcf
