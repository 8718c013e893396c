#include "networks/two_tower.h"

#include "core/check.h"

namespace fastcf {

namespace {

const TwoTowerConfig& checked(const TwoTowerConfig& config, const char* caller) {
    check_tower(config.user(), caller);
    check_tower(config.item(), caller);
    check(config.user_layers.back() == config.item_layers.back(), caller,
          ": both towers must end in vectors of one size; got ", config.user_layers.back(), " and ",
          config.item_layers.back());
    return config;
}

}  // namespace

template <class T>
TwoTower<T>::TwoTower(const TwoTowerConfig& config, const FeatureCounts& users, const FeatureCounts& items,
                      OptimizerKind kind, const char* caller)
    : config_(checked(config, caller)), user_(config.user(), users, kind), item_(config.item(), items, kind) {}

template <class T>
void TwoTower<T>::gradient(const TwoTowerBatch<T>& batch, std::uint64_t seed, std::uint64_t pass, double* cost,
                           int n_threads) {
    const auto dropout = [&](std::uint64_t side) { return DropoutSeed{config_.dropout > 0, seed, 2 * pass + side}; };
    const MatrixView<const T> users = user_.forward(batch.users, dropout(0), n_threads);
    const MatrixView<const T> items = item_.forward(batch.items, dropout(1), n_threads);
    const std::int64_t k = user_.size();
    errors_.reserve(batch.ratings.nnz());
    user_gradient_.reserve(users.rows * k);
    item_gradient_.reserve(items.rows * k);
    MfObjective<T> objective;
    objective.loss = config_.loss;
    objective.global_offset = static_cast<T>(config_.centre);
    const MfParameters<const T> vectors{users.data, items.data, nullptr, nullptr, k, k};
    const MfParameters<T> slopes{user_gradient_.data(), item_gradient_.data(), nullptr, nullptr, k, k};
    mf_gradient<T>(batch.ratings, objective, vectors, slopes, errors_.data(), cost, n_threads);
    user_.backward(batch.users, {slopes.user_factors, users.rows, k, k}, n_threads);
    item_.backward(batch.items, {slopes.item_factors, items.rows, k, k}, n_threads);
}

template class TwoTower<float>;
template class TwoTower<double>;

}  // namespace fastcf
