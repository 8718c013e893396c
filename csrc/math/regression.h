// The logistic function and its loss, without overflow.
#pragma once

#include <cmath>

#include "core/device.h"

namespace fastcf {

FASTCF_HD inline double sigmoid(double z) {
    const double e = std::exp(-std::abs(z));
    return z >= 0 ? 1 / (1 + e) : e / (1 + e);
}

// sigmoid(z) (1 - sigmoid(z)): keeps its digits for large |z|.
FASTCF_HD inline double sigmoid_slope(double z) {
    const double e = std::exp(-std::abs(z));
    return e / ((1 + e) * (1 + e));
}

// softplus(z) - y z
FASTCF_HD inline double logistic_loss(double z, double y) {
    return std::log1p(std::exp(-std::abs(z))) + (z > 0 ? z : 0.0) - y * z;
}

}  // namespace fastcf
