#include "networks/two_tower.h"

#include <pybind11/stl.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "bind/arrays.h"
#include "bind/backend/activation.h"
#include "bind/backend/loss.h"
#include "bind/backend/mlp.h"
#include "bind/backend/optimizer.h"
#include "bind/backend/register.h"
#include "networks/all_ratings.h"
#include "train/two_tower_trainer.h"

namespace fastcf::bind {
namespace {

// (sparse_weights, dense_weights, [weights], [biases]).
template <class T>
TowerArrays<T> tower_arrays(const py::tuple& parts, bool writable, const char* caller) {
    check(parts.size() == 4, caller, ": parameters of a tower must be four; got ", parts.size());
    TowerArrays<T> arrays;
    arrays.sparse_weights = array_matrix<T>(parts[0], writable, caller, "sparse_weights");
    arrays.dense_weights = array_matrix<T>(parts[1], writable, caller, "dense_weights");
    arrays.hidden = hidden_arrays<T>(parts[2].cast<py::sequence>(), parts[3].cast<py::sequence>(), writable, caller);
    return arrays;
}

// Those of the users' tower and of the items'.
template <class T>
TwoTowerArrays<T> arrays_in(const py::tuple& parts, bool writable, const char* caller) {
    check(parts.size() == 2, caller, ": parameters must be those of two towers; got ", parts.size());
    return {tower_arrays<T>(parts[0].cast<py::tuple>(), writable, caller),
            tower_arrays<T>(parts[1].cast<py::tuple>(), writable, caller)};
}

// (indptr, indices, values, number of sparse features, dense features).
template <class T>
Features<T> features_in(const py::tuple& parts, const char* caller) {
    check(parts.size() == 5, caller, ": features must have five parts; got ", parts.size());
    Features<T> features;
    const auto n_sparse = parts[3].cast<std::int64_t>();
    features.structure = csr_in(parts[0], parts[1], py::none(), n_sparse, caller);
    const auto values = vector_in<T>(parts[2], caller, "feature values");
    check(values.size == features.structure.nnz(), caller, ": feature values must have ", features.structure.nnz(),
          " entries; got ", values.size);
    features.values = values.data;
    features.dense = matrix_in<T>(parts[4], caller, "dense features");
    check(features.dense.rows == features.rows(), caller, ": dense features must have ", features.rows(), " rows; got ",
          features.dense.rows);
    return features;
}

template <class T>
TowerConfig tower_in(const Features<T>& features, const std::vector<std::int64_t>& layers,
                     const std::string& activation, double dropout, double length, const char* caller) {
    check(!layers.empty(), caller, ": layers must not be empty");
    for (const std::int64_t size : layers)
        check(size >= 1 && size <= (1 << 20), caller, ": layers must lie in [1, 2^20]; got ", size);
    check(dropout >= 0 && dropout < 1, caller, ": dropout must lie in [0, 1); got ", dropout);
    check(length >= 0 && length <= 1e30, caller, ": length must not be negative; got ", length);
    return {features.structure.cols, features.dense.cols, layers, activation_in(activation, caller), dropout, length};
}

template <class T>
TwoTowerConfig config_in(const Features<T>& users, const Features<T>& items,
                         const std::vector<std::int64_t>& user_layers, const std::vector<std::int64_t>& item_layers,
                         const std::string& activation, double dropout, double length, const std::string& cost,
                         double centre, const char* caller) {
    return {tower_in(users, user_layers, activation, dropout, length, caller),
            tower_in(items, item_layers, activation, dropout, length, caller), loss_in(cost, caller), centre};
}

// The cost of all ratings as one batch of all rows, and its gradient.
template <class T>
double whole_gradient(const CsrView& structure, const T* values, VectorView<const T> weights, const Features<T>& users,
                      const Features<T>& items, const TwoTowerConfig& config, const TwoTowerArrays<T>& at,
                      const TwoTowerArrays<T>& gradient, std::uint64_t seed, int n_threads) {
    TwoTower<T> network(config, OptimizerKind::gradient_descent);
    network.user().upload(at.user);
    network.item().upload(at.item);
    const AllRatings<T> ratings(structure, values, weights);
    TwoTowerBatch<T> batch;
    batch.ratings = ratings.view();
    FeatureRows<T> user_rows(users), item_rows(items);
    const auto all = [&](FeatureRows<T>& features, std::int64_t count) {
        std::vector<std::int32_t> numbers(static_cast<std::size_t>(count));
        std::iota(numbers.begin(), numbers.end(), 0);
        const DeviceArray<std::int32_t> on_device(numbers);
        return features.take({on_device.data(), count}, numbers.data(), n_threads);
    };
    batch.users = all(user_rows, structure.rows);
    batch.items = all(item_rows, structure.cols);
    DeviceArray<double> cost = DeviceArray<double>::zeros(2);
    network.gradient(batch, seed, 0, cost.data(), n_threads);
    const auto download = [&](Tower<T>& tower, const FeatureBatch<T>& features, const TowerArrays<T>& to) {
        const std::int64_t touched = features.sparse.touched.size;
        std::vector<std::int32_t> columns_of(static_cast<std::size_t>(touched));
        if (touched > 0) device_download(columns_of.data(), features.sparse.touched.data, touched * 4);
        tower.download_gradient(to, {columns_of.data(), touched});
    };
    download(network.user(), batch.users, gradient.user);
    download(network.item(), batch.items, gradient.item);
    return cost.to_host().front();
}

template <class T>
double gradient_in(const py::object& indptr, const py::object& indices, const py::object& values,
                   const py::object& weights, const py::tuple& user_features, const py::tuple& item_features,
                   const py::tuple& parameters, const py::tuple& gradient, const std::vector<std::int64_t>& user_layers,
                   const std::vector<std::int64_t>& item_layers, const std::string& activation, double dropout,
                   double length, const std::string& cost, double centre, std::uint64_t seed, int n_threads) {
    const char* caller = "two_tower_gradient";
    const auto users = features_in<T>(user_features, caller), items = features_in<T>(item_features, caller);
    const CsrView structure = csr_in(indptr, indices, py::none(), items.rows(), caller);
    check(structure.rows == users.rows(), caller, ": user features must have ", structure.rows, " rows; got ",
          users.rows());
    const auto targets = vector_in<T>(values, caller, "values");
    const auto factors = optional_vector_in<T>(weights, caller, "weights");
    check(targets.size == structure.nnz() && (factors.empty() || factors.size == targets.size), caller,
          ": values and weights must have ", structure.nnz(), " entries; got ", targets.size, " and ", factors.size);
    const auto config =
        config_in(users, items, user_layers, item_layers, activation, dropout, length, cost, centre, caller);
    const auto at = arrays_in<T>(parameters, false, caller), slopes = arrays_in<T>(gradient, true, caller);
    const py::gil_scoped_release release;
    return whole_gradient<T>(structure, targets.data, factors, users, items, config, at, slopes, seed, n_threads);
}

py::array_t<float> vectors_of(const py::tuple& features, const py::tuple& parameters,
                              const std::vector<std::int64_t>& layers, const std::string& activation, double length,
                              int n_threads) {
    const char* caller = "tower_vectors";
    const auto given = features_in<float>(features, caller);
    const TowerConfig config = tower_in(given, layers, activation, 0.0, length, caller);
    const auto arrays = tower_arrays<float>(parameters, false, caller);
    py::array_t<float> out({given.rows(), layers.back()});
    float* const result = out.mutable_data();
    const py::gil_scoped_release release;
    Tower<float> tower(config, OptimizerKind::gradient_descent);
    tower.check_arrays(arrays, caller);
    tower.upload(arrays);
    FeatureRows<float> rows(given);
    std::vector<std::int32_t> numbers(static_cast<std::size_t>(given.rows()));
    std::iota(numbers.begin(), numbers.end(), 0);
    const DeviceArray<std::int32_t> on_device(numbers);
    DeviceArray<float> vectors(given.rows() * tower.size());
    tower.vectors(rows, {on_device.data(), on_device.size()}, numbers.data(), vectors.data(), n_threads);
    vectors.download(result);
    return out;
}

}  // namespace

void register_two_tower(py::module_& module) {
    module.def(
        "two_tower_gradient",
        [](const py::object& indptr, const py::object& indices, const py::object& values,
           const py::tuple& user_features, const py::tuple& item_features, const py::tuple& parameters,
           const py::tuple& gradient, const py::object& weights, const std::vector<std::int64_t>& user_layers,
           const std::vector<std::int64_t>& item_layers, const std::string& activation, double dropout, double length,
           const std::string& cost, double centre, std::uint64_t seed, int n_threads) {
            const auto run = py::isinstance<py::array_t<double>>(values) ? gradient_in<double> : gradient_in<float>;
            return run(indptr, indices, values, weights, user_features, item_features, parameters, gradient,
                       user_layers, item_layers, activation, dropout, length, cost, centre, seed, n_threads);
        },
        py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("user_features"), py::arg("item_features"),
        py::arg("parameters"), py::arg("gradient"), py::kw_only(), py::arg("weights") = py::none(),
        py::arg("user_layers"), py::arg("item_layers"), py::arg("activation"), py::arg("dropout") = 0.0,
        py::arg("length") = 0.0, py::arg("cost") = "squared", py::arg("centre") = 0.0, py::arg("seed") = 0,
        py::arg("n_threads") = 0);
    module.def("tower_vectors", vectors_of, py::arg("features"), py::arg("parameters"), py::kw_only(),
               py::arg("layers"), py::arg("activation"), py::arg("length") = 0.0, py::arg("n_threads") = 0);

    const char* name = "TwoTowerTrainer";
    py::class_<TwoTowerTrainer>(module, name, py::module_local())
        .def(
            py::init([name](const py::object& indptr, const py::object& indices, const py::object& values,
                            std::int64_t n_items, const py::tuple& user_features, const py::tuple& item_features,
                            const py::object& weights, const std::vector<std::int64_t>& user_layers,
                            const std::vector<std::int64_t>& item_layers, const std::string& activation, double dropout,
                            double length, const std::string& cost, double centre, const std::string& optimizer,
                            double decay, double second_decay, double epsilon, double weight_decay,
                            std::int64_t batch_size, float lowest, float highest, std::uint64_t seed, int n_threads) {
                const CsrView ratings = csr_in(indptr, indices, values, n_items, name);
                const auto factors = optional_vector_in<float>(weights, name, "weights");
                const auto users = features_in<float>(user_features, name);
                const auto items = features_in<float>(item_features, name);
                const auto config =
                    config_in(users, items, user_layers, item_layers, activation, dropout, length, cost, centre, name);
                TwoTowerTraining training;
                training.optimizer = optimizer_in(optimizer, decay, second_decay, epsilon, weight_decay, name);
                training.batch_size = batch_size;
                training.lowest = lowest;
                training.highest = highest;
                training.seed = seed;
                training.n_threads = n_threads;
                const py::gil_scoped_release release;
                return std::make_unique<TwoTowerTrainer>(ratings, factors, users, items, config, training);
            }),
            py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("n_items"), py::arg("user_features"),
            py::arg("item_features"), py::kw_only(), py::arg("weights") = py::none(), py::arg("user_layers"),
            py::arg("item_layers"), py::arg("activation"), py::arg("dropout") = 0.0, py::arg("length") = 0.0,
            py::arg("cost") = "squared", py::arg("centre") = 0.0, py::arg("optimizer") = "gd", py::arg("decay") = 0.0,
            py::arg("second_decay") = 0.0, py::arg("epsilon") = 0.0, py::arg("weight_decay") = 0.0,
            py::arg("batch_size"), py::arg("lowest"), py::arg("highest"), py::arg("seed"), py::arg("n_threads") = 0)
        .def(
            "set_parameters",
            [](TwoTowerTrainer& self, const py::tuple& parameters) {
                const auto arrays = arrays_in<float>(parameters, false, "TwoTowerTrainer.set_parameters");
                const py::gil_scoped_release release;
                self.set_parameters(arrays);
            },
            py::arg("parameters"))
        .def(
            "get_parameters",
            [](TwoTowerTrainer& self, const py::tuple& parameters) {
                const auto arrays = arrays_in<float>(parameters, true, "TwoTowerTrainer.get_parameters");
                const py::gil_scoped_release release;
                self.get_parameters(arrays);
            },
            py::arg("parameters"))
        .def("epoch", &TwoTowerTrainer::epoch, py::arg("learning_rate"), py::call_guard<py::gil_scoped_release>())
        .def("penalty", &TwoTowerTrainer::penalty, py::call_guard<py::gil_scoped_release>())
        .def(
            "set_validation",
            [](TwoTowerTrainer& self, const py::object& users, const py::object& items, const py::object& values) {
                const char* caller = "TwoTowerTrainer.set_validation";
                self.set_validation(vector_in<std::int32_t>(users, caller, "users"),
                                    vector_in<std::int32_t>(items, caller, "items"),
                                    vector_in<float>(values, caller, "values"));
            },
            py::arg("users"), py::arg("items"), py::arg("values"))
        .def("validation_squared_error", &TwoTowerTrainer::validation_squared_error,
             py::call_guard<py::gil_scoped_release>())
        .def("validation_log_loss", &TwoTowerTrainer::validation_log_loss, py::call_guard<py::gil_scoped_release>())
        .def("save_best", &TwoTowerTrainer::save_best, py::call_guard<py::gil_scoped_release>())
        .def("restore_best", &TwoTowerTrainer::restore_best, py::call_guard<py::gil_scoped_release>());
}

}  // namespace fastcf::bind
