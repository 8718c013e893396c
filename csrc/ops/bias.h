// User and item biases of ratings, y_ui = m_i + mu + b_u + b_i + noise, by regularised least squares:
//     b_u = sum_i w (y - m_i - mu - b_i) / (sum w + lambda_user)     and the same for items.
//
// Where lambda is not given it is estimated: b_u ~ N(0, tau_user^2), noise ~ N(0, sigma^2), lambda_user = sigma^2 /
// tau_user^2, with the variances at their mean-field variational maximum (each update also counts the variance that the
// other effects keep). So strongly rated rows keep their own mean and rarely rated ones are shrunk, by as much as the
// data says.
//
// Cost: 2 flops and 8 bytes per rating and iteration, one pass; bound by memory. Deterministic: users are summed row
// by row, items in a fixed number of chunks added in order, or on a GPU as whole multiples of a power of two, whose
// sums no order changes.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/view.h"
#include "math/bias.h"

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

// What every device does with what it has summed up.

inline void check_biases(const CsrView& ratings, VectorView<const float> weights, VectorView<const float> item_offset,
                         const BiasOptions& options, VectorView<float> user_bias, VectorView<float> item_bias) {
    const char* caller = "fit_biases";
    const std::int64_t n = ratings.nnz();
    check(n > 0 && ratings.values != nullptr, caller, ": ratings must not be empty");
    check(weights.empty() || weights.size == n, caller, ": weights must have ", n, " entries; got ", weights.size);
    check(item_offset.empty() || item_offset.size == ratings.cols, caller, ": item_offset must have ", ratings.cols,
          " entries; got ", item_offset.size);
    check(user_bias.size == ratings.rows && item_bias.size == ratings.cols, caller,
          ": user_bias and item_bias must have ", ratings.rows, " and ", ratings.cols, " entries; got ", user_bias.size,
          " and ", item_bias.size);
    check(options.max_iterations > 0, caller, ": max_iterations must be positive; got ", options.max_iterations);
}

// Sums over all ratings; e is what a rating is missed by.
struct BiasTotals {
    double weight = 0;
    double n_weighted = 0;  // ratings whose weight is not zero
    double sum = 0;         // of w (y - m)
    double sum_squares = 0;
};
struct BiasErrors {
    double error = 0;  // sum of w e
    double squared_error = 0;
};

inline constexpr double kSmallestBiasVariance = 1e-12;

inline BiasFit start_bias_fit(const BiasTotals& totals, const BiasOptions& options) {
    check(totals.weight > 0, "fit_biases: weights must not all be zero");
    BiasFit fit;
    fit.mean = totals.sum / totals.weight;
    fit.noise_variance =
        std::max((totals.sum_squares - fit.mean * fit.mean * totals.weight) / totals.n_weighted, kSmallestBiasVariance);
    const double start = 4.0 * totals.weight / totals.n_weighted;  // tau = sigma / 2: any start in the range does
    fit.user_reg = options.user_reg >= 0 ? options.user_reg : start;
    fit.item_reg = options.item_reg >= 0 ? options.item_reg : start;
    return fit;
}

// Takes an iteration's sums into the fit; true when nothing moves any more.
inline bool update_bias_fit(BiasFit& fit, const BiasTotals& totals, const BiasErrors& errors, const BiasMoments& users,
                            const BiasMoments& items, const BiasOptions& options) {
    const auto relative_change = [](double from, double to) {
        return std::abs(to - from) / std::max({std::abs(from), std::abs(to), 1e-9});
    };
    const auto variance = [](const BiasMoments& moments) {
        return std::max(moments.squares / std::max(moments.rows, 1.0), kSmallestBiasVariance);
    };
    const BiasFit before = fit;
    fit.noise_variance =
        std::max((errors.squared_error + users.excess + items.excess) / totals.n_weighted, kSmallestBiasVariance);
    if (options.user_reg < 0) fit.user_reg = fit.noise_variance / variance(users);
    if (options.item_reg < 0) fit.item_reg = fit.noise_variance / variance(items);
    fit.mean += errors.error / totals.weight;
    const double change =
        std::max({std::abs(fit.mean - before.mean) / std::sqrt(fit.noise_variance * totals.n_weighted / totals.weight),
                  relative_change(before.noise_variance, fit.noise_variance),
                  relative_change(before.user_reg, fit.user_reg), relative_change(before.item_reg, fit.item_reg)});
    return change < options.tolerance;
}

}  // namespace fastcf
