#include <memory>

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/mlp.h"
#include "bind/backend/register.h"
#include "bind/gil.h"
#include "bind/trainer.h"
#include "networks/autoencoder_objective.h"
#include "train/autoencoder_trainer.h"

namespace fastcf::bind {
namespace {

struct ParametersForm {
    static constexpr auto name = py::detail::const_name(
        "tuple[numpy.typing.NDArray[typing.Any], numpy.typing.NDArray[typing.Any] | None, "
        "numpy.typing.NDArray[typing.Any], collections.abc.Sequence[numpy.typing.NDArray[typing.Any]], "
        "collections.abc.Sequence[numpy.typing.NDArray[typing.Any]], numpy.typing.NDArray[typing.Any] | None, "
        "numpy.typing.NDArray[typing.Any] | None]");
};
using Parameters = Formed<ParametersForm>;

struct LayersForm {
    static constexpr auto name =
        py::detail::const_name("collections.abc.Sequence[numpy.typing.NDArray[numpy.float32]]");
};

// The parts of (input_weights, output_weights or None, output_bias, [hidden weights], [hidden biases], rated_weights or
// None, rated_effects or None).
template <class T>
AutoencoderArrays<T> arrays_in(const Parameters& object, bool writable, const char* caller) {
    const auto parts = parts_in(object, caller, "parameters");
    check(parts.size() == 7, caller, ": parameters must be seven; got ", parts.size());
    AutoencoderArrays<T> arrays;
    arrays.input_weights = array_matrix<T>(parts[0], writable, caller, "input_weights");
    if (!parts[1].is_none()) arrays.output_weights = array_matrix<T>(parts[1], writable, caller, "output_weights");
    arrays.output_bias = array_vector<T>(parts[2], writable, caller, "output_bias");
    arrays.hidden = hidden_arrays<T>(parts[3], parts[4], writable, caller);
    if (!parts[5].is_none()) arrays.rated_weights = array_matrix<T>(parts[5], writable, caller, "rated_weights");
    if (!parts[6].is_none()) arrays.rated_effects = array_matrix<T>(parts[6], writable, caller, "rated_effects");
    return arrays;
}

template <class T>
TrainingRows<T> rows_in(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                        const Array<Real>& inputs, const Array<Real>& targets, const ArrayOrNone<Real>& weights,
                        const ArrayOrNone<Real>& offsets, const ArrayOrNone<Real>& input_dropout,
                        std::int64_t n_columns, const char* caller) {
    const CsrView structure = csr_in(indptr, indices, py::none(), n_columns, caller);
    const auto of_size = [&](const py::object& object, std::int64_t size, const char* name) -> const T* {
        const auto view = vector_in<T>(object, caller, name);
        check(view.size == size, caller, ": ", name, " must have ", size, " entries; got ", view.size);
        return view.data;
    };
    const std::int64_t n = structure.nnz();
    const T* dropout = input_dropout.is_none() ? nullptr : of_size(input_dropout, structure.rows, "input_dropout");
    for (std::int64_t r = 0; dropout != nullptr && r < structure.rows; ++r)
        check(dropout[r] >= 0 && dropout[r] < 1, caller, ": input_dropout must lie in [0, 1); got ", dropout[r]);
    return {structure,
            of_size(inputs, n, "inputs"),
            of_size(targets, n, "targets"),
            weights.is_none() ? nullptr : of_size(weights, n, "weights"),
            offsets.is_none() ? nullptr : of_size(offsets, n, "offsets"),
            dropout};
}

// The keywords of a struct that has a network.
template <class Settings>
Keywords<Settings> network_keywords(bool of_training) {
    Keywords<Settings> keywords;
    const auto network = &Settings::network;
    const auto needed = [&](const char* name, auto member) {  // what is to be trained must say what it is
        if (of_training)
            keywords.required(name, network, member);
        else
            keywords.optional(name, network, member);
    };
    keywords.required("layers", network, &AutoencoderConfig::layers)
        .required("activation", network, &AutoencoderConfig::activation);
    needed("output_activation", &AutoencoderConfig::output_activation);
    needed("tied", &AutoencoderConfig::tied);
    keywords.optional("dropout", network, &AutoencoderConfig::dropout)
        .optional("alpha_dropout", network, &AutoencoderConfig::alpha)
        .optional("cost", network, &AutoencoderConfig::loss)
        .optional("penalised_bias", network, &AutoencoderConfig::penalised_bias)
        .optional("n_negatives", &Settings::n_negatives)
        .optional("rated_input", &Settings::rated_input)
        .optional("rated_output", &Settings::rated_output);
    if (of_training) keywords.optional("output_rate", network, &AutoencoderConfig::output_rate);
    return keywords;
}

template <class T>
double autoencoder_gradient_in(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                               const Array<Real>& inputs, const Array<Real>& targets, std::int64_t n_columns,
                               const Parameters& parameters, const Parameters& gradient,
                               const ArrayOrNone<Real>& weights, const ArrayOrNone<Real>& offsets,
                               const ArrayOrNone<Real>& input_dropout, const AutoencoderObjective& objective) {
    const char* caller = "autoencoder_gradient";
    const auto rows = rows_in<T>(indptr, indices, inputs, targets, weights, offsets, input_dropout, n_columns, caller);
    const auto at = arrays_in<T>(parameters, false, caller), slopes = arrays_in<T>(gradient, true, caller);
    const ReleasedGil release;
    return autoencoder_gradient<T>(rows, objective, at, slopes);
}

void register_gradient(py::module_& module) {
    auto keywords = network_keywords<AutoencoderObjective>(false);
    keywords.optional("weight_decay", &AutoencoderObjective::weight_decay)
        .optional("seed", &AutoencoderObjective::seed)
        .optional("dense", &AutoencoderObjective::dense)
        .optional("n_threads", &AutoencoderObjective::n_threads);
    module.def(
        "autoencoder_gradient",
        [keywords](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<Real>& inputs,
                   const Array<Real>& targets, std::int64_t n_columns, const Parameters& parameters,
                   const Parameters& gradient, const ArrayOrNone<Real>& weights, const ArrayOrNone<Real>& offsets,
                   const ArrayOrNone<Real>& input_dropout, const py::kwargs& settings) {
            AutoencoderObjective objective = keywords.read(settings, "autoencoder_gradient");
            objective.network.n_columns = n_columns;
            objective.network.rated = objective.rated_input > 0;
            const auto run = is_double(inputs) ? autoencoder_gradient_in<double> : autoencoder_gradient_in<float>;
            return run(indptr, indices, inputs, targets, n_columns, parameters, gradient, weights, offsets,
                       input_dropout, objective);
        },
        keywords.signature().c_str(), py::arg("indptr"), py::arg("indices"), py::arg("inputs"), py::arg("targets"),
        py::arg("n_columns"), py::arg("parameters"), py::arg("gradient"), py::kw_only(),
        py::arg("weights") = py::none(), py::arg("offsets") = py::none(), py::arg("input_dropout") = py::none());
}

void register_hidden(py::module_& module) {
    const char* caller = "autoencoder_hidden";
    Keywords<AutoencoderEncoder> keywords;
    keywords.required("layers", &AutoencoderEncoder::network, &AutoencoderConfig::layers)
        .required("activation", &AutoencoderEncoder::network, &AutoencoderConfig::activation)
        .required("tied", &AutoencoderEncoder::network, &AutoencoderConfig::tied)
        .optional("rated_input", &AutoencoderEncoder::rated_input)
        .required("depth", &AutoencoderEncoder::depth)
        .optional("n_threads", &AutoencoderEncoder::n_threads);
    module.def(
        caller,
        [keywords, caller](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                           const Array<float>& values, const Array<float>& input_weights,
                           const Formed<LayersForm>& hidden_weights, const Formed<LayersForm>& hidden_biases,
                           const Array<float>& rated_weights, const py::kwargs& settings) {
            AutoencoderEncoder encoder = keywords.read(settings, caller);
            encoder.input_weights = held_matrix_in<float>(input_weights, caller, "input_weights");
            encoder.network.n_columns = encoder.input_weights.rows;
            encoder.network.rated = encoder.rated_input > 0;
            if (encoder.network.rated)
                encoder.rated_weights = held_matrix_in<float>(rated_weights, caller, "rated_weights");
            encoder.hidden = hidden_arrays<float>(hidden_weights, hidden_biases, false, caller);
            check(!values.is_none(), caller, ": values must be given");
            const CsrView rows = csr_in(indptr, indices, values, encoder.input_weights.rows, caller);
            py::array_t<float> out({rows.rows, hidden_width(encoder, caller)});
            const MatrixView<float> result = view_of(out);
            {
                const ReleasedGil release;
                autoencoder_hidden(rows, encoder, result);
            }
            return out;
        },
        keywords.signature().c_str(), py::arg("indptr"), py::arg("indices"), py::arg("values"),
        py::arg("input_weights"), py::arg("hidden_weights"), py::arg("hidden_biases"),
        py::arg("rated_weights") = py::none(), py::kw_only());
}

}  // namespace

void register_autoencoder(py::module_& module) {
    register_gradient(module);
    register_hidden(module);
    const char* name = "AutoencoderTrainer";
    auto keywords = network_keywords<AutoencoderTraining>(true);
    keywords.optional("dense_refeeding", &AutoencoderTraining::dense_refeeding);
    add_optimizer(keywords, false, &AutoencoderTraining::optimizer);
    keywords.optional("weight_decay", &AutoencoderTraining::optimizer, &Optimizer::weight_decay)
        .required("batch_size", &AutoencoderTraining::batch_size)
        .required("lowest", &AutoencoderTraining::lowest)
        .required("highest", &AutoencoderTraining::highest)
        .required("seed", &AutoencoderTraining::seed)
        .optional("n_threads", &AutoencoderTraining::n_threads);
    py::class_<AutoencoderTrainer> trainer(module, name, py::module_local());
    trainer
        .def(py::init([name, keywords](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                       const Array<float>& inputs, const Array<float>& targets, std::int64_t n_columns,
                                       const ArrayOrNone<float>& weights, const ArrayOrNone<float>& offsets,
                                       const ArrayOrNone<float>& input_dropout, const py::kwargs& settings) {
                 const auto rows =
                     rows_in<float>(indptr, indices, inputs, targets, weights, offsets, input_dropout, n_columns, name);
                 const AutoencoderTraining training = keywords.read(settings, name);
                 const ReleasedGil release;
                 return std::make_unique<AutoencoderTrainer>(rows, training);
             }),
             keywords.signature().c_str(), py::arg("indptr"), py::arg("indices"), py::arg("inputs"), py::arg("targets"),
             py::arg("n_columns"), py::kw_only(), py::arg("weights") = py::none(), py::arg("offsets") = py::none(),
             py::arg("input_dropout") = py::none())
        .def("epoch", &AutoencoderTrainer::epoch, py::arg("learning_rate"), py::call_guard<ReleasedGil>())
        .def(
            "set_validation",
            [](AutoencoderTrainer& self, const Array<std::int32_t>& rows, const Array<std::int32_t>& columns,
               const Array<float>& offsets, const Array<float>& values, const ArrayOrNone<float>& weights,
               float scale) {
                const char* caller = "AutoencoderTrainer.set_validation";
                self.set_validation(
                    vector_in<std::int32_t>(rows, caller, "rows"), vector_in<std::int32_t>(columns, caller, "columns"),
                    vector_in<float>(offsets, caller, "offsets"), vector_in<float>(values, caller, "values"),
                    optional_vector_in<float>(weights, caller, "weights"), scale);
            },
            py::arg("rows"), py::arg("columns"), py::arg("offsets"), py::arg("values"), py::arg("weights") = py::none(),
            py::arg("scale") = 1.0f);
    trainer.def(
        "multinomial_cost",
        [](AutoencoderTrainer& self, const Array<std::int32_t>& rows, const Array<std::int64_t>& indptr,
           const Array<std::int32_t>& columns, const Array<float>& strengths, std::int64_t n_columns) {
            const char* caller = "AutoencoderTrainer.multinomial_cost";
            const auto numbers = vector_in<std::int32_t>(rows, caller, "rows");
            const CsrView chosen = csr_in(indptr, columns, strengths, n_columns, caller);
            const ReleasedGil release;
            return self.multinomial_cost(numbers, chosen);
        },
        py::arg("rows"), py::arg("indptr"), py::arg("columns"), py::arg("strengths"), py::arg("n_columns"));
    register_parameters<Parameters>(trainer, name, arrays_in<float>);
    register_methods(trainer, name);
}

}  // namespace fastcf::bind
