#include "networks/perceptron.h"

#include <memory>
#include <vector>

#include "bind/arrays.h"
#include "bind/gil.h"
#include "bind/host/register.h"
#include "bind/trainer.h"
#include "train/perceptron_trainer.h"

namespace fastcf::bind {
namespace {

PairGroups groups_in(const Array<std::int32_t>& networks, const ArrayOrNone<std::int64_t>& indptr,
                     const ArrayOrNone<std::int32_t>& items, const char* caller) {
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

// The keywords of a network; `members` lead to it.
template <class Settings, class... Members>
void add_network(Keywords<Settings>& keywords, Members... members) {
    keywords.required("layers", members..., &PerceptronConfig::layers)
        .required("activation", members..., &PerceptronConfig::activation)
        .required("bias", members..., &PerceptronConfig::bias)
        .required("levels", members..., &PerceptronConfig::levels);
}

void register_layout(py::module_& module) {
    module.def(
        "perceptron_layout",
        [](const std::vector<std::int64_t>& layers, bool bias) {
            check(!layers.empty(), "perceptron_layout: layers must not be empty");
            const PerceptronConfig config{
                layers, Activation::identity, bias,
                std::vector<float>(layers.back() == 1 ? 0 : static_cast<std::size_t>(layers.back()))};
            check_perceptron(config, "perceptron_layout");
            const PerceptronLayout layout = perceptron_layout(config);
            return std::make_tuple(layout.size, layout.weights, layout.biases);
        },
        py::arg("layers"), py::arg("bias"));
}

struct GradientSettings {
    PerceptronConfig network;
    double reg = 0;
};

template <class T>
double gradient_in(const GradientSettings& settings, const Array<Real>& features, const Array<std::int32_t>& items,
                   const Array<Real>& ratings, const ArrayOrNone<Real>& weights, const Array<Real>& parameters,
                   const Array<Real>& gradient) {
    const char* caller = "perceptron_gradient";
    const auto x = matrix_in<T>(features, caller, "features");
    const auto rows = vector_in<std::int32_t>(items, caller, "items");
    const auto y = vector_in<T>(ratings, caller, "ratings");
    const auto w = optional_vector_in<T>(weights, caller, "weights");
    const auto at = vector_in<T>(parameters, caller, "parameters");
    const auto slopes = vector_out<T>(gradient, caller, "gradient");
    const ReleasedGil release;
    return perceptron_gradient<T>(settings.network, settings.reg, x, rows, y, w, at, slopes);
}

void register_gradient(py::module_& module) {
    Keywords<GradientSettings> keywords;
    add_network(keywords, &GradientSettings::network);
    keywords.optional("reg", &GradientSettings::reg);
    module.def(
        "perceptron_gradient",
        [keywords](const Array<Real>& features, const Array<std::int32_t>& items, const Array<Real>& ratings,
                   const Array<Real>& parameters, const Array<Real>& gradient, const ArrayOrNone<Real>& weights,
                   const py::kwargs& given) {
            const GradientSettings settings = keywords.read(given, "perceptron_gradient");
            const auto run = is_double(features) ? gradient_in<double> : gradient_in<float>;
            return run(settings, features, items, ratings, weights, parameters, gradient);
        },
        keywords.signature().c_str(), py::arg("features"), py::arg("items"), py::arg("ratings"), py::arg("parameters"),
        py::arg("gradient"), py::arg("weights") = py::none(), py::kw_only());
}

struct PredictSettings {
    PerceptronConfig network;
    int n_threads = 0;
};

void register_predict(py::module_& module) {
    const char* caller = "perceptron_predict";
    Keywords<PredictSettings> keywords;
    add_network(keywords, &PredictSettings::network);
    keywords.optional("n_threads", &PredictSettings::n_threads);
    module.def(
        caller,
        [keywords, caller](const Array<float>& parameters, const Array<float>& features,
                           const Array<std::int32_t>& networks, const ArrayOrNone<std::int64_t>& indptr,
                           const ArrayOrNone<std::int32_t>& items, const py::kwargs& given) {
            const PredictSettings settings = keywords.read(given, caller);
            check_perceptron(settings.network, caller);
            const auto rows = matrix_in<float>(parameters, caller, "parameters");
            const auto x = matrix_in<float>(features, caller, "features");
            const PairGroups pairs = groups_in(networks, indptr, items, caller);
            py::array_t<float> out = sized(pairs, x.rows, settings.network.layers.back());
            const MatrixView<float> result = view_of(out);
            {
                const ReleasedGil release;
                perceptron_predict(settings.network, rows, x, pairs, result, settings.n_threads);
            }
            return out;
        },
        keywords.signature().c_str(), py::arg("parameters"), py::arg("features"), py::arg("networks"),
        py::arg("indptr") = py::none(), py::arg("items") = py::none(), py::kw_only());
}

void register_perceptron_trainer(py::module_& module) {
    const char* name = "PerceptronTrainer";
    Keywords<PerceptronTraining> keywords;
    add_network(keywords, &PerceptronTraining::network);
    keywords.required("reg", &PerceptronTraining::reg);
    add_optimizer(keywords, true, &PerceptronTraining::optimizer);
    keywords.required("batch_size", &PerceptronTraining::batch_size)
        .required("seed", &PerceptronTraining::seed)
        .optional("n_threads", &PerceptronTraining::n_threads);
    py::class_<PerceptronTrainer> trainer(module, name, py::module_local());
    trainer
        .def(py::init([name, keywords](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                       const Array<float>& values, const Array<float>& features,
                                       const Array<std::uint64_t>& keys, const ArrayOrNone<float>& weights,
                                       const py::kwargs& settings) {
                 const auto x = matrix_in<float>(features, name, "features");
                 const CsrView ratings = csr_in(indptr, indices, values, x.rows, name);
                 const auto key_view = vector_in<std::uint64_t>(keys, name, "keys");
                 const auto weight_view = optional_vector_in<float>(weights, name, "weights");
                 const PerceptronTraining training = keywords.read(settings, name);
                 const ReleasedGil release;
                 return std::make_unique<PerceptronTrainer>(ratings, weight_view, x, key_view, training);
             }),
             keywords.signature().c_str(), py::arg("indptr"), py::arg("indices"), py::arg("values"),
             py::arg("features"), py::arg("keys"), py::kw_only(), py::arg("weights") = py::none())
        .def(
            "draw_parameters",
            [](PerceptronTrainer& self, const Array<float>& low, const Array<float>& high) {
                const char* caller = "PerceptronTrainer.draw_parameters";
                const auto from = vector_in<float>(low, caller, "low"), to = vector_in<float>(high, caller, "high");
                const ReleasedGil release;
                self.draw_parameters(from, to);
            },
            py::arg("low"), py::arg("high"))
        .def(
            "epoch",
            [](PerceptronTrainer& self, double learning_rate) {
                const PerceptronEpoch epoch = [&] {
                    const ReleasedGil release;
                    return self.epoch(learning_rate);
                }();
                return std::make_tuple(epoch.cost, epoch.loss);
            },
            py::arg("learning_rate"))
        .def(
            "predict",
            [](const PerceptronTrainer& self, const Array<std::int32_t>& networks,
               const ArrayOrNone<std::int64_t>& indptr, const ArrayOrNone<std::int32_t>& items) {
                const PairGroups pairs = groups_in(networks, indptr, items, "PerceptronTrainer.predict");
                py::array_t<float> out = sized(pairs, self.n_items(), self.n_outputs());
                const MatrixView<float> result = view_of(out);
                {
                    const ReleasedGil release;
                    self.predict(pairs, result);
                }
                return out;
            },
            py::arg("networks"), py::arg("indptr") = py::none(), py::arg("items") = py::none());
    register_parameters<Array<float>>(trainer, name,
                                      [](const Array<float>& parameters, bool writable, const char* caller) {
                                          return array_matrix<float>(parameters, writable, caller, "parameters");
                                      });
    register_methods(trainer, name);
}

}  // namespace

void register_perceptron(py::module_& module) {
    register_layout(module);
    register_gradient(module);
    register_predict(module);
    register_perceptron_trainer(module);
}

}  // namespace fastcf::bind
