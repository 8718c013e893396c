#include "networks/perceptron.h"

#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <vector>

#include "bind/arrays.h"
#include "bind/backend/activation.h"
#include "bind/backend/optimizer.h"
#include "bind/backend/register.h"
#include "train/perceptron_trainer.h"

namespace fastcf::bind {
namespace {

PerceptronConfig config_in(const std::vector<std::int64_t>& layers, const std::string& activation, bool bias,
                           const std::vector<float>& levels, const char* caller) {
    const PerceptronConfig config{layers, activation_in(activation, caller), bias, levels};
    check_perceptron(config, caller);
    return config;
}

PairGroups groups_in(const py::object& networks, const py::object& indptr, const py::object& items,
                     const char* caller) {
    check(indptr.is_none() == items.is_none(), caller, ": indptr and items come together");
    const PairGroups pairs{vector_in<std::int32_t>(networks, caller, "networks"),
                           optional_vector_in<std::int64_t>(indptr, caller, "indptr"),
                           optional_vector_in<std::int32_t>(items, caller, "items")};
    check(indptr.is_none() || !pairs.indptr.empty(), caller, ": indptr must have at least one entry; got 0");
    return pairs;
}

py::array_t<float> sized(const PairGroups& pairs, std::int64_t n_items, std::int64_t outputs) {
    const std::int64_t n = pairs.indptr.empty() ? pairs.networks.size * n_items : pairs.items.size;
    return py::array_t<float>({n, outputs});
}

MatrixView<float> view_of(py::array_t<float>& array) {
    return {array.mutable_data(), array.shape(0), array.shape(1), array.shape(1)};
}

// The mean cross-entropy of one network over some items, and its gradient.
template <class T>
double gradient_of(const PerceptronConfig& config, const py::object& features, const py::object& items,
                   const py::object& ratings, const py::object& weights, const py::object& parameters,
                   const py::object& gradient) {
    const char* caller = "perceptron_gradient";
    const auto x = matrix_in<T>(features, caller, "features");
    const auto rows = vector_in<std::int32_t>(items, caller, "items");
    const auto y = vector_in<T>(ratings, caller, "ratings");
    const auto w = optional_vector_in<T>(weights, caller, "weights");
    const auto at = vector_in<T>(parameters, caller, "parameters");
    const auto slopes = vector_out<T>(gradient, caller, "gradient");
    const std::int64_t n = rows.size;
    check(x.cols == config.layers.front(), caller, ": features must have ", config.layers.front(), " columns; got ",
          x.cols);
    check(n > 0 && y.size == n && (w.empty() || w.size == n), caller,
          ": items, ratings and weights must have as many entries, one at least; got ", n, ", ", y.size, " and ",
          w.size);
    for (std::int64_t e = 0; e < n; ++e)
        check(rows[e] >= 0 && rows[e] < x.rows, caller, ": items must lie in [0, ", x.rows, "); got ", rows[e],
              " at entry ", e);
    Perceptron<T> perceptron(config, OptimizerKind::gradient_descent);
    OptimizedRows<T>& row = perceptron.network().parameters();
    check(at.size == row.cols && slopes.size == row.cols, caller, ": parameters and gradient must have ", row.cols,
          " entries; got ", at.size, " and ", slopes.size);
    check_on_host(row.values.data(), caller);
    const py::gil_scoped_release release;
    row.values.upload(at.data);
    std::vector<std::int32_t> order(static_cast<std::size_t>(n));
    double total = 0;
    for (std::int64_t e = 0; e < n; ++e) {
        order[static_cast<std::size_t>(e)] = static_cast<std::int32_t>(e);
        total += w.empty() ? 1.0 : static_cast<double>(w[e]);
    }
    const double sum = perceptron.gradient(x, {rows.data, y.data, w.empty() ? nullptr : w.data}, order.data(), n);
    perceptron.network().gradient().download(slopes.data);
    return sum / total;
}

}  // namespace

void register_perceptron(py::module_& module) {
    module.def(
        "perceptron_layout",
        [](const std::vector<std::int64_t>& layers, bool bias) {
            check(!layers.empty(), "perceptron_layout: layers must not be empty");
            const std::vector<float> levels(layers.back() == 1 ? 0 : static_cast<std::size_t>(layers.back()));
            const PerceptronLayout layout =
                perceptron_layout(config_in(layers, "identity", bias, levels, "perceptron_layout"));
            return py::make_tuple(layout.size, layout.weights, layout.biases);
        },
        py::arg("layers"), py::arg("bias"));
    module.def(
        "perceptron_gradient",
        [](const py::object& features, const py::object& items, const py::object& ratings, const py::object& parameters,
           const py::object& gradient, const py::object& weights, const std::vector<std::int64_t>& layers,
           const std::string& activation, bool bias, const std::vector<float>& levels) {
            const PerceptronConfig config = config_in(layers, activation, bias, levels, "perceptron_gradient");
            const auto run = py::isinstance<py::array_t<double>>(features) ? gradient_of<double> : gradient_of<float>;
            return run(config, features, items, ratings, weights, parameters, gradient);
        },
        py::arg("features"), py::arg("items"), py::arg("ratings"), py::arg("parameters"), py::arg("gradient"),
        py::arg("weights") = py::none(), py::kw_only(), py::arg("layers"), py::arg("activation"), py::arg("bias"),
        py::arg("levels"));
    module.def(
        "perceptron_predict",
        [](const py::object& parameters, const py::object& features, const py::object& networks,
           const py::object& indptr, const py::object& items, const std::vector<std::int64_t>& layers,
           const std::string& activation, bool bias, const std::vector<float>& levels, int n_threads) {
            const char* caller = "perceptron_predict";
            const PerceptronConfig config = config_in(layers, activation, bias, levels, caller);
            const auto rows = matrix_in<float>(parameters, caller, "parameters");
            const auto x = matrix_in<float>(features, caller, "features");
            const PairGroups pairs = groups_in(networks, indptr, items, caller);
            py::array_t<float> out = sized(pairs, x.rows, layers.back());
            const MatrixView<float> result = view_of(out);
            {
                const py::gil_scoped_release release;
                perceptron_predict(config, rows, x, pairs, result, n_threads);
            }
            return out;
        },
        py::arg("parameters"), py::arg("features"), py::arg("networks"), py::arg("indptr") = py::none(),
        py::arg("items") = py::none(), py::kw_only(), py::arg("layers"), py::arg("activation"), py::arg("bias"),
        py::arg("levels"), py::arg("n_threads") = 0);

    const char* name = "PerceptronTrainer";
    py::class_<PerceptronTrainer>(module, name, py::module_local())
        .def(py::init([name](const py::object& indptr, const py::object& indices, const py::object& values,
                             const py::object& features, const py::object& keys, const py::object& weights,
                             const std::vector<std::int64_t>& layers, const std::string& activation, bool bias,
                             const std::vector<float>& levels, double reg, const std::string& optimizer, double decay,
                             double second_decay, double epsilon, std::int64_t batch_size, std::uint64_t seed,
                             int n_threads) {
                 const PerceptronConfig config = config_in(layers, activation, bias, levels, name);
                 const auto x = matrix_in<float>(features, name, "features");
                 const CsrView ratings = csr_in(indptr, indices, values, x.rows, name);
                 const auto key_view = vector_in<std::uint64_t>(keys, name, "keys");
                 const auto weight_view = optional_vector_in<float>(weights, name, "weights");
                 PerceptronTraining training;
                 training.optimizer = optimizer_in(optimizer, decay, second_decay, epsilon, 0.0, name);
                 training.reg = reg;
                 training.batch_size = batch_size;
                 training.seed = seed;
                 training.n_threads = n_threads;
                 const py::gil_scoped_release release;
                 return std::make_unique<PerceptronTrainer>(ratings, weight_view, x, key_view, config, training);
             }),
             py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("features"), py::arg("keys"),
             py::kw_only(), py::arg("weights") = py::none(), py::arg("layers"), py::arg("activation"), py::arg("bias"),
             py::arg("levels"), py::arg("reg"), py::arg("optimizer"), py::arg("decay") = 0.0,
             py::arg("second_decay") = 0.0, py::arg("epsilon") = 0.0, py::arg("batch_size"), py::arg("seed"),
             py::arg("n_threads") = 0)
        .def(
            "draw_parameters",
            [](PerceptronTrainer& self, const py::object& low, const py::object& high) {
                const char* caller = "PerceptronTrainer.draw_parameters";
                const auto from = vector_in<float>(low, caller, "low"), to = vector_in<float>(high, caller, "high");
                const py::gil_scoped_release release;
                self.draw_parameters(from, to);
            },
            py::arg("low"), py::arg("high"))
        .def(
            "set_parameters",
            [](PerceptronTrainer& self, const py::object& parameters) {
                self.set_parameters(matrix_in<float>(parameters, "PerceptronTrainer.set_parameters", "parameters"));
            },
            py::arg("parameters"))
        .def(
            "get_parameters",
            [](const PerceptronTrainer& self, const py::object& parameters) {
                self.get_parameters(matrix_out<float>(parameters, "PerceptronTrainer.get_parameters", "parameters"));
            },
            py::arg("parameters"))
        .def(
            "epoch",
            [](PerceptronTrainer& self, double learning_rate) {
                PerceptronEpoch epoch;
                {
                    const py::gil_scoped_release release;
                    epoch = self.epoch(learning_rate);
                }
                return py::make_tuple(epoch.cost, epoch.loss);
            },
            py::arg("learning_rate"))
        .def(
            "predict",
            [](const PerceptronTrainer& self, const py::object& networks, const py::object& indptr,
               const py::object& items) {
                const PairGroups pairs = groups_in(networks, indptr, items, "PerceptronTrainer.predict");
                py::array_t<float> out = sized(pairs, self.n_items(), self.n_outputs());
                const MatrixView<float> result = view_of(out);
                {
                    const py::gil_scoped_release release;
                    self.predict(pairs, result);
                }
                return out;
            },
            py::arg("networks"), py::arg("indptr") = py::none(), py::arg("items") = py::none())
        .def("save_best", &PerceptronTrainer::save_best, py::call_guard<py::gil_scoped_release>())
        .def("restore_best", &PerceptronTrainer::restore_best, py::call_guard<py::gil_scoped_release>());
}

}  // namespace fastcf::bind
