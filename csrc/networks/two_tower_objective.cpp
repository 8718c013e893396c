#include "networks/two_tower_objective.h"

#include <numeric>
#include <vector>

#include "core/check.h"
#include "networks/all_ratings.h"

namespace fastcf {
namespace {

// All rows of features, by number: on host and device.
struct RowNumbers {
    std::vector<std::int32_t> host;
    DeviceArray<std::int32_t> device;

    explicit RowNumbers(std::int64_t n) : host(static_cast<std::size_t>(n)) {
        std::iota(host.begin(), host.end(), 0);
        device = DeviceArray<std::int32_t>(host);
    }
    VectorView<const std::int32_t> view() const { return {device.data(), device.size()}; }
};

template <class T>
void download_gradient(Tower<T>& tower, const FeatureBatch<T>& batch, const TowerArrays<T>& at, double weight_decay,
                       const TowerArrays<T>& gradient) {
    const std::int64_t touched = batch.sparse.touched.size;
    std::vector<std::int32_t> columns(static_cast<std::size_t>(touched));
    if (touched > 0) device_download(columns.data(), batch.sparse.touched.data, touched * 4);
    tower.download_gradient(gradient, {columns.data(), touched});
    if (weight_decay == 0) return;
    penalise(at.sparse_weights, weight_decay, gradient.sparse_weights);
    penalise(at.dense_weights, weight_decay, gradient.dense_weights);
    for (std::size_t m = 0; m < at.hidden.matrices.size(); ++m)
        penalise(at.hidden.matrices[m], weight_decay, gradient.hidden.matrices[m]);
}

}  // namespace

template <class T>
double two_tower_gradient(const CsrView& structure, VectorView<const T> values, VectorView<const T> weights,
                          VectorView<const T> offsets, const Features<T>& users, const Features<T>& items,
                          const TwoTowerObjective& objective, const TwoTowerArrays<T>& at,
                          const TwoTowerArrays<T>& gradient) {
    const char* caller = "two_tower_gradient";
    check(structure.rows == users.rows(), caller, ": user features must have ", structure.rows, " rows; got ",
          users.rows());
    check(values.size == structure.nnz() && (weights.empty() || weights.size == values.size), caller,
          ": values and weights must have ", structure.nnz(), " entries; got ", values.size, " and ", weights.size);
    check(offsets.size == (objective.network.cost == TowerCost::softmax ? items.rows() : 0), caller,
          ": offsets must have an entry per item for the softmax cost, else none; got ", offsets.size);
    check(objective.weight_decay >= 0, caller, ": weight_decay must not be negative; got ", objective.weight_decay);
    TwoTower<T> network(objective.network, users.counts(), items.counts(), OptimizerKind::gradient_descent, caller);
    for (const TwoTowerArrays<T>* arrays : {&at, &gradient}) {
        network.user().check_arrays(arrays->user, caller);
        network.item().check_arrays(arrays->item, caller);
    }
    network.user().upload(at.user);
    network.item().upload(at.item);
    const int n_threads = objective.n_threads;
    const AllRatings<T> ratings(structure, values.data, weights);
    FeatureRows<T> user_rows(users), item_rows(items);
    const RowNumbers all_users(structure.rows), all_items(structure.cols);
    const DeviceArray<T> shifts(offsets.data, offsets.size);
    const TwoTowerBatch<T> batch{user_rows.take(all_users.view(), all_users.host.data(), n_threads),
                                 item_rows.take(all_items.view(), all_items.host.data(), n_threads), ratings.view(),
                                 VectorView<const T>{shifts.data(), shifts.size()}};
    DeviceArray<double> cost = DeviceArray<double>::zeros(2);
    network.gradient(batch, objective.seed, 0, cost.data(), n_threads);
    download_gradient(network.user(), batch.users, at.user, objective.weight_decay, gradient.user);
    download_gradient(network.item(), batch.items, at.item, objective.weight_decay, gradient.item);
    const double loss = cost.to_host().front();
    if (objective.weight_decay == 0) return loss;
    return loss + 0.5 * objective.weight_decay * network.squared_norm(n_threads);
}

#define FASTCF_INSTANTIATE_TWO_TOWER_GRADIENT(T)                                                           \
    template double two_tower_gradient<T>(                                                                 \
        const CsrView&, VectorView<const T>, VectorView<const T>, VectorView<const T>, const Features<T>&, \
        const Features<T>&, const TwoTowerObjective&, const TwoTowerArrays<T>&, const TwoTowerArrays<T>&);
FASTCF_INSTANTIATE_TWO_TOWER_GRADIENT(float)
FASTCF_INSTANTIATE_TWO_TOWER_GRADIENT(double)

void tower_vectors(const Features<float>& features, const TowerConfig& config, const TowerArrays<float>& arrays,
                   MatrixView<float> out, int n_threads) {
    const char* caller = "tower_vectors";
    check_tower(config, caller);
    Tower<float> tower(config, features.counts(), OptimizerKind::gradient_descent);
    tower.check_arrays(arrays, caller);
    check(out.rows == features.rows() && out.cols == tower.size(), caller, ": the result must have shape (",
          features.rows(), ", ", tower.size(), "); got (", out.rows, ", ", out.cols, ")");
    tower.upload(arrays);
    FeatureRows<float> rows(features);
    const RowNumbers all(features.rows());
    DeviceArray<float> vectors(out.rows * out.cols);
    tower.vectors(rows, all.view(), all.host.data(), vectors.data(), n_threads);
    vectors.download(out.data);
}

}  // namespace fastcf
