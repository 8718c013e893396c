// What gradient checks and fitted models ask of two towers: their objective on all ratings at once, and vectors of many
// rows.
#pragma once

#include <cstdint>

#include "core/view.h"
#include "networks/feature_rows.h"
#include "networks/two_tower.h"

namespace fastcf {

struct TwoTowerObjective {
    TwoTowerConfig network;
    double weight_decay = 0;
    std::uint64_t seed = 0;
    int n_threads = 0;
};

// sum of w loss(z, y) over all ratings, or the softmax cost of all choices as one batch, plus weight_decay / 2
// |weights|^2; writes its gradient. `values` has an entry per rating, `weights` too unless it is empty. `offsets`, for
// the softmax cost only, has one per item.
template <class T>
double two_tower_gradient(const CsrView& structure, VectorView<const T> values, VectorView<const T> weights,
                          VectorView<const T> offsets, const Features<T>& users, const Features<T>& items,
                          const TwoTowerObjective& objective, const TwoTowerArrays<T>& at,
                          const TwoTowerArrays<T>& gradient);

// The vector of every row of features; out (rows, config.layers.back()).
void tower_vectors(const Features<float>& features, const TowerConfig& config, const TowerArrays<float>& arrays,
                   MatrixView<float> out, int n_threads);

}  // namespace fastcf
