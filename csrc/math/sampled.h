// The costs of a choice beside items drawn at random, as functions of their scores; and what drawing is made of.
#pragma once

#include <stdint.h>

#include "core/device.h"
#include "math/loss.h"
#include "math/random.h"

namespace fastcf {

// bpr: the sum over drawn items j of -log sigmoid(s_i - s_j) (S. Rendle, C. Freudenthaler, Z. Gantner and L.
// Schmidt-Thieme, "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009). logistic: -log sigmoid(s_i)
// minus the sum of log sigmoid(-s_j) (T. Mikolov et al., "Distributed representations of words and phrases", NIPS
// 2013). softmax: -log of the choice's share of e^s among itself and the drawn items, whose scores are corrected by
// minus the logarithm of how often they are expected (Y. Bengio and J.-S. Senecal, IEEE TNN 19, 2008).
enum class SampledCost { bpr, logistic, softmax };

// The cost of a pair by the difference of its scores, and the derivative.
template <class T>
FASTCF_FORMULA T bpr_loss(T difference, T* slope) {
    return logistic_loss(difference, T(1), slope);
}
// The costs of a choice and of a drawn item by their scores, and the derivatives.
template <class T>
FASTCF_FORMULA T chosen_loss(T score, T* slope) {
    return logistic_loss(score, T(1), slope);
}
template <class T>
FASTCF_FORMULA T drawn_loss(T score, T* slope) {
    return logistic_loss(score, T(0), slope);
}
// The same derivatives alone.
template <class T>
FASTCF_FORMULA T chosen_slope(T score) {
    return -sigmoid(-score);
}
template <class T>
FASTCF_FORMULA T drawn_slope(T score) {
    return sigmoid(score);
}
// e^score beside that of the greatest, and what follows of the sum of these: the cost of the choice, and the derivative
// by any score.
template <class T>
FASTCF_FORMULA T softmax_term(T score, T greatest) {
    return exp_of_negative(score - greatest);
}
template <class T>
FASTCF_FORMULA T softmax_loss(T score, T greatest, T sum) {
    return greatest - score - log_of_fraction(T(1) / sum);
}
template <class T>
FASTCF_FORMULA T softmax_slope(T term, T sum, bool chosen) {
    return term / sum - (chosen ? T(1) : T(0));
}

// From the scores of a choice and of n drawn items to the derivatives, in place; returns the cost. `counted` is what
// each drawn item counts: its weight, for softmax not 0 where it counts at all.
template <class T, class Scores, class Counted>
FASTCF_FORMULA T sampled_loss(SampledCost cost, int n, Scores at, Counted counted) {
    const T score = at[0];
    if (cost == SampledCost::softmax) {
        T greatest = score;
        for (int m = 1; m <= n; ++m) {
            const T other = at[m], counts = counted[m - 1];
            greatest = counts != T(0) && other > greatest ? other : greatest;
        }
        const T own_term = softmax_term(score, greatest);
        T sum = own_term;
        for (int m = 1; m <= n; ++m) {
            const T other = at[m], counts = counted[m - 1];
            const T term = counts != T(0) ? softmax_term(other, greatest) : T(0);
            at[m] = term;
            sum += term;
        }
        for (int m = 1; m <= n; ++m) {
            const T term = at[m];
            at[m] = softmax_slope(term, sum, false);
        }
        at[0] = softmax_slope(own_term, sum, true);
        return softmax_loss(score, greatest, sum);
    }
    T total = T(0), own = T(0), slope;
    if (cost == SampledCost::logistic) total = chosen_loss(score, &own);
    for (int m = 1; m <= n; ++m) {
        const bool pair = cost == SampledCost::bpr;
        const T other = at[m], counts = counted[m - 1];
        const T loss = pair ? bpr_loss(score - other, &slope) : drawn_loss(other, &slope);
        total += counts * loss;
        at[m] = counts * (pair ? -slope : slope);
        if (pair) own += counts * slope;
    }
    at[0] = own;
    return total;
}

// Draw number d of a stream is a half of a random word, the lower one first.
FASTCF_FORMULA uint32_t half_word(uint64_t word, int64_t draw) {
    return static_cast<uint32_t>(word >> (32 * (draw & 1)));
}
// The slot of an alias table that a draw takes, and the coin that decides between the slot and its alias.
FASTCF_FORMULA uint32_t alias_slot(uint32_t draw, uint32_t n_slots, uint32_t* coin) {
    const uint64_t product = static_cast<uint64_t>(draw) * n_slots;
    *coin = static_cast<uint32_t>(product);
    return static_cast<uint32_t>(product >> 32);
}

// Where the filter of a user's choices has the bits of an item. Shift 0: every item has a bit of its own; else an item
// has two bits in one of 2^(32 - shift) words, which it shares.
struct FilterPlace {
    uint32_t word, bits;
};
FASTCF_FORMULA FilterPlace filter_place(uint32_t item, int shift) {
    const uint32_t hash = item * 2654435761u;
    return shift == 0 ? FilterPlace{item >> 5, 1u << (item & 31)}
                      : FilterPlace{hash >> shift, 1u << (hash & 31) | 1u << ((hash >> 5) & 31)};
}

}  // namespace fastcf
