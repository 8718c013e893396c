// A row's bias, and what it tells of the variances.
#pragma once

#include "core/device.h"

namespace fastcf {

// Of a user's or an item's ratings: `residual` is the sum of w (y - m - the other bias), `weight` that of w.
FASTCF_FORMULA float bias_of(double residual, double weight, double mean, double reg) {
    const double denominator = weight + reg;
    return denominator > 0 ? static_cast<float>((residual - mean * weight) / denominator) : 0.0f;
}

// The second moment of rated rows' biases, and what their posterior variances add to the squared error: sums over rows.
struct BiasMoments {
    double squares = 0;
    double excess = 0;
    double rows = 0;
};
FASTCF_FORMULA void add_to_moments(float bias, double weight, double reg, double noise_variance, BiasMoments* moments) {
    if (weight <= 0) return;
    const double variance = noise_variance / (weight + reg);
    moments->squares += static_cast<double>(bias) * static_cast<double>(bias) + variance;
    moments->excess += weight * variance;
    moments->rows += 1;
}

}  // namespace fastcf
