#include <memory>

#include "bind/arrays.h"
#include "bind/backend/mlp.h"
#include "bind/backend/register.h"
#include "bind/gil.h"
#include "bind/trainer.h"
#include "networks/two_tower_objective.h"
#include "train/two_tower_trainer.h"

namespace fastcf::bind {

template <>
struct Names<TowerCost> {
    static constexpr const char* all[] = {"squared", "logistic", "softmax"};
};

namespace {

struct FeaturesForm {
    static constexpr auto name = py::detail::const_name(
        "tuple[numpy.typing.NDArray[numpy.int64], numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[typing.Any], "
        "int, numpy.typing.NDArray[typing.Any]]");
};
struct TowerForm {
    static constexpr auto name = py::detail::const_name(
        "tuple[numpy.typing.NDArray[typing.Any], numpy.typing.NDArray[typing.Any], "
        "collections.abc.Sequence[numpy.typing.NDArray[typing.Any]], "
        "collections.abc.Sequence[numpy.typing.NDArray[typing.Any]]]");
};
struct TowersForm {
    static constexpr auto name = py::detail::const_name("tuple[") + TowerForm::name + py::detail::const_name(", ") +
                                 TowerForm::name + py::detail::const_name("]");
};
using Towers = Formed<TowersForm>;

// (sparse_weights, dense_weights, [weights], [biases]).
template <class T>
TowerArrays<T> tower_arrays(const py::object& object, bool writable, const char* caller) {
    const auto parts = parts_in(object, caller, "parameters of a tower");
    check(parts.size() == 4, caller, ": parameters of a tower must be four; got ", parts.size());
    TowerArrays<T> arrays;
    arrays.sparse_weights = array_matrix<T>(parts[0], writable, caller, "sparse_weights");
    arrays.dense_weights = array_matrix<T>(parts[1], writable, caller, "dense_weights");
    arrays.hidden = hidden_arrays<T>(parts[2], parts[3], writable, caller);
    return arrays;
}

// Those of the users' tower and of the items'.
template <class T>
TwoTowerArrays<T> arrays_in(const Towers& object, bool writable, const char* caller) {
    const auto parts = parts_in(object, caller, "parameters");
    check(parts.size() == 2, caller, ": parameters must be those of two towers; got ", parts.size());
    return {tower_arrays<T>(parts[0], writable, caller), tower_arrays<T>(parts[1], writable, caller)};
}

// (indptr, indices, values, number of sparse features, dense features).
template <class T>
Features<T> features_in(const py::object& object, const char* caller) {
    const auto parts = parts_in(object, caller, "features");
    check(parts.size() == 5, caller, ": features must have five parts; got ", parts.size());
    Features<T> features;
    const auto n_sparse = parts[3].template cast<std::int64_t>();
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

// The keywords of a struct that has two towers.
template <class Settings>
Keywords<Settings> network_keywords() {
    Keywords<Settings> keywords;
    const auto network = &Settings::network;
    keywords.required("user_layers", network, &TwoTowerConfig::user_layers)
        .required("item_layers", network, &TwoTowerConfig::item_layers)
        .required("activation", network, &TwoTowerConfig::activation)
        .optional("dropout", network, &TwoTowerConfig::dropout)
        .optional("length", network, &TwoTowerConfig::length)
        .optional("cost", network, &TwoTowerConfig::cost)
        .optional("centre", network, &TwoTowerConfig::centre);
    return keywords;
}

template <class T>
double two_tower_gradient_in(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                             const Array<Real>& values, const ArrayOrNone<Real>& weights,
                             const ArrayOrNone<Real>& offsets, const Formed<FeaturesForm>& user_features,
                             const Formed<FeaturesForm>& item_features, const Towers& parameters,
                             const Towers& gradient, const TwoTowerObjective& objective) {
    const char* caller = "two_tower_gradient";
    const auto users = features_in<T>(user_features, caller), items = features_in<T>(item_features, caller);
    const CsrView structure = csr_in(indptr, indices, py::none(), items.rows(), caller);
    const auto targets = vector_in<T>(values, caller, "values");
    const auto factors = optional_vector_in<T>(weights, caller, "weights");
    const auto shifts = optional_vector_in<T>(offsets, caller, "offsets");
    const auto at = arrays_in<T>(parameters, false, caller), slopes = arrays_in<T>(gradient, true, caller);
    const ReleasedGil release;
    return two_tower_gradient<T>(structure, targets, factors, shifts, users, items, objective, at, slopes);
}

void register_gradient(py::module_& module) {
    auto keywords = network_keywords<TwoTowerObjective>();
    keywords.optional("weight_decay", &TwoTowerObjective::weight_decay)
        .optional("seed", &TwoTowerObjective::seed)
        .optional("n_threads", &TwoTowerObjective::n_threads);
    module.def(
        "two_tower_gradient",
        [keywords](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<Real>& values,
                   const Formed<FeaturesForm>& user_features, const Formed<FeaturesForm>& item_features,
                   const Towers& parameters, const Towers& gradient, const ArrayOrNone<Real>& weights,
                   const ArrayOrNone<Real>& offsets, const py::kwargs& settings) {
            const TwoTowerObjective objective = keywords.read(settings, "two_tower_gradient");
            const auto run = is_double(values) ? two_tower_gradient_in<double> : two_tower_gradient_in<float>;
            return run(indptr, indices, values, weights, offsets, user_features, item_features, parameters, gradient,
                       objective);
        },
        keywords.signature().c_str(), py::arg("indptr"), py::arg("indices"), py::arg("values"),
        py::arg("user_features"), py::arg("item_features"), py::arg("parameters"), py::arg("gradient"), py::kw_only(),
        py::arg("weights") = py::none(), py::arg("offsets") = py::none());
}

struct VectorSettings {
    TowerConfig tower;
    int n_threads = 0;
};

void register_vectors(py::module_& module) {
    const char* caller = "tower_vectors";
    Keywords<VectorSettings> keywords;
    keywords.required("layers", &VectorSettings::tower, &TowerConfig::layers)
        .required("activation", &VectorSettings::tower, &TowerConfig::activation)
        .optional("length", &VectorSettings::tower, &TowerConfig::length)
        .optional("n_threads", &VectorSettings::n_threads);
    module.def(
        caller,
        [keywords, caller](const Formed<FeaturesForm>& features, const Formed<TowerForm>& parameters,
                           const py::kwargs& settings) {
            const VectorSettings how = keywords.read(settings, caller);
            check_tower(how.tower, caller);
            const auto given = features_in<float>(features, caller);
            const auto arrays = tower_arrays<float>(parameters, false, caller);
            py::array_t<float> out({given.rows(), how.tower.layers.back()});
            const MatrixView<float> result = view_of(out);
            {
                const ReleasedGil release;
                tower_vectors(given, how.tower, arrays, result, how.n_threads);
            }
            return out;
        },
        keywords.signature().c_str(), py::arg("features"), py::arg("parameters"), py::kw_only());
}

}  // namespace

void register_two_tower(py::module_& module) {
    register_gradient(module);
    register_vectors(module);
    const char* name = "TwoTowerTrainer";
    auto keywords = network_keywords<TwoTowerTraining>();
    add_optimizer(keywords, false, &TwoTowerTraining::optimizer);
    keywords.optional("weight_decay", &TwoTowerTraining::optimizer, &Optimizer::weight_decay)
        .required("batch_size", &TwoTowerTraining::batch_size)
        .required("lowest", &TwoTowerTraining::lowest)
        .required("highest", &TwoTowerTraining::highest)
        .required("seed", &TwoTowerTraining::seed)
        .optional("n_threads", &TwoTowerTraining::n_threads);
    py::class_<TwoTowerTrainer> trainer(module, name, py::module_local());
    trainer
        .def(py::init([name, keywords](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                       const Array<float>& values, std::int64_t n_items,
                                       const Formed<FeaturesForm>& user_features,
                                       const Formed<FeaturesForm>& item_features, const ArrayOrNone<float>& weights,
                                       const ArrayOrNone<float>& offsets, const py::kwargs& settings) {
                 const CsrView ratings = csr_in(indptr, indices, values, n_items, name);
                 const auto factors = optional_vector_in<float>(weights, name, "weights");
                 const auto shifts =
                     offsets.is_none() ? MatrixView<const float>{} : matrix_in<float>(offsets, name, "offsets");
                 const auto users = features_in<float>(user_features, name);
                 const auto items = features_in<float>(item_features, name);
                 const TwoTowerTraining training = keywords.read(settings, name);
                 const ReleasedGil release;
                 return std::make_unique<TwoTowerTrainer>(ratings, factors, shifts, users, items, training);
             }),
             keywords.signature().c_str(), py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("n_items"),
             py::arg("user_features"), py::arg("item_features"), py::kw_only(), py::arg("weights") = py::none(),
             py::arg("offsets") = py::none())
        .def("epoch", &TwoTowerTrainer::epoch, py::arg("learning_rate"), py::call_guard<ReleasedGil>());
    register_parameters<Towers>(trainer, name, arrays_in<float>);
    register_methods(trainer, name);
}

}  // namespace fastcf::bind
