// One step of stochastic gradient descent on one rating, for scalars and for
// vectors of them. Whoever loops decides what a number V is: a float, or one
// lane per rating or per factor.
#pragma once

#include "core/device.h"

namespace fastcf {

// What a row keeps of itself at each of its ratings, 1 / (1 + rate share): the
// proximal step on the rating's share of the row's penalty (J. Duchi and Y.
// Singer, "Efficient online and batch learning using forward backward
// splitting", JMLR 10, 2009), which no penalty makes unstable.
template <class V>
FASTCF_FORMULA V sgd_keep(V rate, V share) {
    return V(1) / (V(1) + rate * share);
}

// The squared cost's error. Parts of the prediction may be taken off the target
// beforehand.
template <class V>
FASTCF_FORMULA V sgd_error(V target, V prediction) {
    return target - prediction;
}

// How far a step moves a row along the other's: rate times the weighted error,
// times what the row keeps. Keeping is folded in so that keep (own + rate g
// other) = keep own + pull other, whose first term needs no error.
template <class V, class Rate>
FASTCF_FORMULA V sgd_pull(V weighted_error, Rate rate, V keep) {
    return weighted_error * rate * keep;
}

// Factors after a step; multiply_add(a, b, c) is a b + c.
template <class V, class MultiplyAdd>
FASTCF_FORMULA V sgd_factor(V own, V other, V pull, V keep, MultiplyAdd multiply_add) {
    return multiply_add(pull, other, keep * own);
}

// A bias after a step of rate times the weighted error.
template <class V>
FASTCF_FORMULA V sgd_bias(V bias, V step, V keep) {
    return keep * (bias + step);
}

}  // namespace fastcf
