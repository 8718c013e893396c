#include "networks/two_tower.h"

#include "core/check.h"
#include "ops/gemm.h"
#include "ops/in_batch_softmax.h"

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
    user_gradient_.reserve(users.rows * k);
    item_gradient_.reserve(items.rows * k);
    const MatrixView<T> user_slopes{user_gradient_.data(), users.rows, k, k};
    const MatrixView<T> item_slopes{item_gradient_.data(), items.rows, k, k};
    if (config_.cost == TowerCost::softmax)
        choice_gradient(batch, users, items, user_slopes, item_slopes, cost, n_threads);
    else
        rating_gradient(batch.ratings, {users.data, items.data, nullptr, nullptr, k, k},
                        {user_slopes.data, item_slopes.data, nullptr, nullptr, k, k}, cost, n_threads);
    user_.backward(batch.users, user_slopes, n_threads);
    item_.backward(batch.items, item_slopes, n_threads);
}

template <class T>
void TwoTower<T>::rating_gradient(const MfRatings<T>& ratings, const MfParameters<const T>& vectors,
                                  const MfParameters<T>& slopes, double* cost, int n_threads) {
    errors_.reserve(ratings.nnz());
    MfObjective<T> objective;
    objective.loss = config_.cost == TowerCost::logistic ? Loss::logistic : Loss::squared;
    objective.global_offset = static_cast<T>(config_.centre);
    mf_gradient<T>(ratings, objective, vectors, slopes, errors_.data(), cost, n_threads);
}

// 2 k flops a score for the products before the softmax and 4 k after it; 4 bytes of float32 a score.
template <class T>
void TwoTower<T>::choice_gradient(const TwoTowerBatch<T>& batch, MatrixView<const T> users, MatrixView<const T> items,
                                  MatrixView<T> user_slopes, MatrixView<T> item_slopes, double* cost, int n_threads) {
    scores_.reserve(users.rows * items.rows);
    const MatrixView<T> scores{scores_.data(), users.rows, items.rows, items.rows};
    gemm<T>(false, true, T(1), users, items, T(0), scores, n_threads);
    device_clear(cost, 2 * sizeof(double));
    const MfRatings<T>& chosen = batch.ratings;
    in_batch_softmax<T>(scores, {chosen.indptr, chosen.items, chosen.weights, chosen.nnz()}, batch.offsets, cost,
                        n_threads);
    const MatrixView<const T> slopes{scores.data, scores.rows, scores.cols, scores.stride};
    gemm<T>(false, false, T(1), slopes, items, T(0), user_slopes, n_threads);
    gemm<T>(true, false, T(1), slopes, users, T(0), item_slopes, n_threads);
}

template class TwoTower<float>;
template class TwoTower<double>;

}  // namespace fastcf
