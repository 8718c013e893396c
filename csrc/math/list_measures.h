// How well a list is ranked: what is relevant has a gain, and the places of a list count less the further down they
// are.
#pragma once

#include <stdint.h>

#include <cmath>

#include "core/device.h"

namespace fastcf {

// The weight of a place, from 0 (K. Jarvelin and J. Kekalainen, "Cumulated gain-based evaluation of IR techniques", ACM
// TOIS 20(4), 2002).
inline double place_discount(std::int64_t place) {
    return 1.0 / std::log2(2.0 + static_cast<double>(place));
}

struct ListMeasures {
    static constexpr std::int64_t kCount = 8;

    double precision = 0.0;          // hits / k
    double recall = 0.0;             // hits / n
    double capped_recall = 0.0;      // hits / min(k, n)
    double hit = 0.0;                // whether there is one
    double reciprocal_rank = 0.0;    // 1 / the first hit's place, counted from 1
    double average_precision = 0.0;  // the precision at each hit's place, summed, / min(k, n)
    double ndcg = 0.0;               // the discounts of the hits' places / those of the first min(k, n) places
    double graded_ndcg = 0.0;        // the same with gains; the best list has the largest gains first
};

// The measures of the first k places. gains[j]: the gain of the item at place j, NaN where it is irrelevant;
// discounts: of k places; best_gains: the largest min(k, n) gains, descending; n: how many items are relevant, at
// least 1. A gain below 0 counts as 0 (and its item as relevant); without a gain above 0 the graded NDCG is 0.
inline ListMeasures list_measures_of(const double* gains, const double* discounts, const double* best_gains,
                                     std::int64_t k, std::int64_t n) {
    ListMeasures of;
    std::int64_t hits = 0;
    double graded = 0.0;
    for (std::int64_t j = 0; j < k; ++j) {
        if (std::isnan(gains[j])) continue;
        if (hits++ == 0) of.reciprocal_rank = 1.0 / static_cast<double>(j + 1);
        of.average_precision += static_cast<double>(hits) / static_cast<double>(j + 1);
        of.ndcg += discounts[j];
        graded += gains[j] > 0.0 ? gains[j] * discounts[j] : 0.0;
    }
    const std::int64_t most = k < n ? k : n;
    double ideal = 0.0, best = 0.0;
    for (std::int64_t j = 0; j < most; ++j) {
        ideal += discounts[j];
        best += best_gains[j] > 0.0 ? best_gains[j] * discounts[j] : 0.0;
    }
    of.precision = static_cast<double>(hits) / static_cast<double>(k);
    of.recall = static_cast<double>(hits) / static_cast<double>(n);
    of.capped_recall = static_cast<double>(hits) / static_cast<double>(most);
    of.hit = hits > 0 ? 1.0 : 0.0;
    of.average_precision /= static_cast<double>(most);
    of.ndcg /= ideal;
    if (best > 0.0) of.graded_ndcg = graded / best;
    return of;
}

}  // namespace fastcf
