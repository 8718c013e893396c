// Two towers whose vectors' inner product predicts a rating.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "math/loss.h"
#include "networks/feature_rows.h"
#include "networks/tower.h"
#include "ops/mf_gradient.h"

namespace fastcf {

// z_ui = centre + <u(x_u), v(x_i)>, with u and v the towers.
struct TwoTowerConfig {
    std::vector<std::int64_t> user_layers, item_layers;  // as TowerConfig::layers; both end in one size
    Activation activation = Activation::relu;            // this and the next two as in TowerConfig
    double dropout = 0;
    double length = 0;
    Loss loss = Loss::squared;
    double centre = 0;

    TowerConfig user() const { return {user_layers, activation, dropout, length}; }
    TowerConfig item() const { return {item_layers, activation, dropout, length}; }
};

// Some ratings, and the rows of features that they touch: ratings name rows by their place in the batches.
template <class T>
struct TwoTowerBatch {
    FeatureBatch<T> users, items;
    MfRatings<T> ratings;
};

template <class T>
struct TwoTowerArrays {
    TowerArrays<T> user, item;
};

template <class T>
class TwoTower {
  public:
    TwoTower() = default;
    // Throws std::invalid_argument, naming the caller, for towers that cannot be.
    TwoTower(const TwoTowerConfig& config, const FeatureCounts& users, const FeatureCounts& items, OptimizerKind kind,
             const char* caller);

    Tower<T>& user() { return user_; }
    Tower<T>& item() { return item_; }

    // The gradient of sum of w loss(z, y) over the batch's ratings; `cost` (2,), on the device, receives that sum and
    // 0. Each row goes through its tower once. `pass` numbers the random choices of dropout, by `seed`.
    void gradient(const TwoTowerBatch<T>& batch, std::uint64_t seed, std::uint64_t pass, double* cost, int n_threads);

    double squared_norm(int n_threads) const { return user_.squared_norm(n_threads) + item_.squared_norm(n_threads); }

    // Calls body(tower) for both.
    template <class Body>
    void for_each(Body&& body) {
        body(user_);
        body(item_);
    }

  private:
    TwoTowerConfig config_;
    Tower<T> user_, item_;
    DeviceArray<T> errors_, user_gradient_, item_gradient_;  // of the last batch
};

}  // namespace fastcf
