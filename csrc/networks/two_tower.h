// Two towers whose vectors' inner product predicts a rating, or what is chosen.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"
#include "networks/feature_rows.h"
#include "networks/tower.h"
#include "ops/mf_gradient.h"

namespace fastcf {

// Of ratings, of labels, or of choices among the items of a batch.
enum class TowerCost { squared, logistic, softmax };

// z_ui = centre + <u(x_u), v(x_i)>, with u and v the towers.
struct TwoTowerConfig {
    std::vector<std::int64_t> user_layers, item_layers;  // as TowerConfig::layers; both end in one size
    Activation activation = Activation::relu;            // this and the next two as in TowerConfig
    double dropout = 0;
    double length = 0;
    TowerCost cost = TowerCost::squared;
    double centre = 0;  // of no effect on choices

    TowerConfig user() const { return {user_layers, activation, dropout, length}; }
    TowerConfig item() const { return {item_layers, activation, dropout, length}; }
};

// Some ratings, and the rows of features that they touch: ratings name rows by their place in the batches.
template <class T>
struct TwoTowerBatch {
    FeatureBatch<T> users, items;
    MfRatings<T> ratings;
    VectorView<const T> offsets;  // for the softmax cost: log-weights of the items, on the device
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

    // The gradient of sum of w loss(z, y) over the batch's ratings, or of the softmax cost of its choices
    // (ops/in_batch_softmax.h; their values are not read); `cost` (2,), on the device, receives that sum and 0. Each
    // row goes through its tower once. `pass` numbers the random choices of dropout, by `seed`.
    void gradient(const TwoTowerBatch<T>& batch, std::uint64_t seed, std::uint64_t pass, double* cost, int n_threads);

    double squared_norm(int n_threads) const { return user_.squared_norm(n_threads) + item_.squared_norm(n_threads); }

    // Calls body(tower) for both.
    template <class Body>
    void for_each(Body&& body) {
        body(user_);
        body(item_);
    }

  private:
    void rating_gradient(const MfRatings<T>& ratings, const MfParameters<const T>& vectors,
                         const MfParameters<T>& slopes, double* cost, int n_threads);
    void choice_gradient(const TwoTowerBatch<T>& batch, MatrixView<const T> users, MatrixView<const T> items,
                         MatrixView<T> user_slopes, MatrixView<T> item_slopes, double* cost, int n_threads);

    TwoTowerConfig config_;
    Tower<T> user_, item_;
    DeviceArray<T> errors_, scores_, user_gradient_, item_gradient_;  // of the last batch
};

}  // namespace fastcf
