#include "networks/autoencoder.h"

#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bind/arrays.h"
#include "bind/backend/activation.h"
#include "bind/backend/device_array.h"
#include "bind/backend/loss.h"
#include "bind/backend/mlp.h"
#include "bind/backend/optimizer.h"
#include "bind/backend/register.h"
#include "core/parallel.h"
#include "ops/spmm.h"
#include "train/autoencoder_trainer.h"

namespace fastcf::bind {
namespace {

// The parts of (input_weights, output_weights or None, output_bias, [hidden weights], [hidden biases], rated_weights or
// None).
template <class T>
AutoencoderArrays<T> arrays_in(const py::tuple& parts, bool writable, const char* caller) {
    check(parts.size() == 6, caller, ": parameters must be six; got ", parts.size());
    AutoencoderArrays<T> arrays;
    arrays.input_weights = array_matrix<T>(parts[0], writable, caller, "input_weights");
    if (!parts[1].is_none()) arrays.output_weights = array_matrix<T>(parts[1], writable, caller, "output_weights");
    arrays.output_bias = array_vector<T>(parts[2], writable, caller, "output_bias");
    arrays.hidden = hidden_arrays<T>(parts[3].cast<py::sequence>(), parts[4].cast<py::sequence>(), writable, caller);
    if (!parts[5].is_none()) arrays.rated_weights = array_matrix<T>(parts[5], writable, caller, "rated_weights");
    return arrays;
}

AutoencoderConfig config_in(std::int64_t n_columns, const std::vector<std::int64_t>& layers,
                            const std::string& activation, const std::string& output_activation, bool tied,
                            double dropout, bool alpha, double rated_input, const std::string& cost,
                            const char* caller) {
    check(!layers.empty(), caller, ": layers must not be empty");
    for (const std::int64_t size : layers)
        check(size >= 1 && size <= (1 << 20), caller, ": layers must lie in [1, 2^20]; got ", size);
    check(dropout >= 0 && dropout < 1, caller, ": dropout must lie in [0, 1); got ", dropout);
    return {n_columns,
            layers,
            activation_in(activation, caller),
            activation_in(output_activation, caller),
            tied,
            dropout,
            alpha,
            rated_input > 0,
            false,
            loss_in(cost, caller)};
}

template <class T>
TrainingRows<T> rows_in(const py::object& indptr, const py::object& indices, const py::object& inputs,
                        const py::object& targets, const py::object& weights, const py::object& offsets,
                        std::int64_t n_columns, const char* caller) {
    const CsrView structure = csr_in(indptr, indices, py::none(), n_columns, caller);
    const auto entries = [&](const py::object& object, const char* name) -> const T* {
        const auto view = vector_in<T>(object, caller, name);
        check(view.size == structure.nnz(), caller, ": ", name, " must have ", structure.nnz(), " entries; got ",
              view.size);
        return view.data;
    };
    return {structure, entries(inputs, "inputs"), entries(targets, "targets"),
            weights.is_none() ? nullptr : entries(weights, "weights"),
            offsets.is_none() ? nullptr : entries(offsets, "offsets")};
}

// The cost of all rows as one batch, and its gradient.
template <class T>
double whole_gradient(const TrainingRows<T>& rows, const AutoencoderConfig& config, const AutoencoderArrays<T>& at,
                      const AutoencoderArrays<T>& gradient, double input_dropout, double rated_input,
                      std::uint64_t seed, bool dense, int n_threads) {
    Autoencoder<T> network(config, OptimizerKind::gradient_descent);
    network.upload(at);
    network.check_arrays(gradient, "autoencoder_gradient");
    RowBatches<T> batches(rows, std::max<std::int64_t>(rows.structure.rows, 1), input_dropout, rated_input, seed);
    batches.start(0);
    DeviceArray<double> loss = DeviceArray<double>::zeros(1);
    const DropoutSeed dropout{config.dropout > 0, seed, 0};
    if (dense) {  // rows as dense ones, zeros where nothing is stored, all of it asked for
        const std::int64_t n = rows.structure.rows, m = config.n_columns;
        std::vector<T> x(static_cast<std::size_t>(n * m));
        for (std::int64_t r = 0; r < n; ++r)
            for (std::int64_t e = rows.structure.indptr[r]; e < rows.structure.indptr[r + 1]; ++e)
                x[static_cast<std::size_t>(r * m + rows.structure.indices[e])] = rows.inputs[e];
        const DeviceArray<T> fed(x);
        DeviceArray<T> answer(n * m);
        const double scale = 1 / static_cast<double>(std::max<std::int64_t>(n * m, 1));
        network.dense_gradient({fed.data(), n, m, m}, {answer.data(), n, m, m}, scale, dropout, loss.data(), n_threads);
        const std::vector<std::int32_t> all = [&] {
            std::vector<std::int32_t> columns(static_cast<std::size_t>(m));
            for (std::int64_t c = 0; c < m; ++c) columns[static_cast<std::size_t>(c)] = static_cast<std::int32_t>(c);
            return columns;
        }();
        network.download_gradient(gradient, {all.data(), m});
        return 2 * loss.to_host().front() * scale;
    }
    const RowBatch<T> batch = batches.batch(0);
    const double scale = batch.weight > 0 ? 1 / batch.weight : 0;
    network.gradient(batch, scale, dropout, loss.data(), n_threads);
    std::vector<std::int32_t> touched(static_cast<std::size_t>(batch.touched.size));
    device_download(touched.data(), batch.touched.data, batch.touched.size * 4);
    network.download_gradient(gradient, {touched.data(), batch.touched.size});
    return 2 * loss.to_host().front() * scale;
}

template <class T>
double gradient_in(const py::object& indptr, const py::object& indices, const py::object& inputs,
                   const py::object& targets, const py::object& weights, const py::object& offsets,
                   const AutoencoderConfig& config, const py::tuple& parameters, const py::tuple& gradient,
                   double input_dropout, double rated_input, std::uint64_t seed, bool dense, int n_threads) {
    const char* caller = "autoencoder_gradient";
    const auto rows = rows_in<T>(indptr, indices, inputs, targets, weights, offsets, config.n_columns, caller);
    const auto at = arrays_in<T>(parameters, false, caller), slopes = arrays_in<T>(gradient, true, caller);
    check(input_dropout >= 0 && input_dropout < 1, caller, ": input_dropout must lie in [0, 1); got ", input_dropout);
    const py::gil_scoped_release release;
    return whole_gradient<T>(rows, config, at, slopes, input_dropout, rated_input, seed, dense, n_threads);
}

py::array_t<float> hidden_of(const py::object& indptr, const py::object& indices, const py::object& values,
                             const py::object& input_weights, const py::sequence& weights, const py::sequence& biases,
                             const py::object& rated_weights, const std::vector<std::int64_t>& layers,
                             const std::string& activation, bool tied, double rated_input, int depth, int n_threads) {
    const char* caller = "autoencoder_hidden";
    const auto table = held_matrix_in<float>(input_weights, caller, "input_weights");
    const CsrView rows = csr_in(indptr, indices, values, table.rows, caller);
    const AutoencoderConfig config =
        config_in(table.rows, layers, activation, "identity", tied, 0.0, false, rated_input, "squared", caller);
    check(table.cols == layers.front(), caller, ": input_weights must have ", layers.front(), " columns; got ",
          table.cols);
    check(!values.is_none(), caller, ": values must be given");
    MatrixView<const float> rated_table{};
    if (config.rated) rated_table = held_matrix_in<float>(rated_weights, caller, "rated_weights");
    check(!config.rated || (rated_table.rows == table.rows && rated_table.cols == table.cols), caller,
          ": rated_weights must have shape (", table.rows, ", ", table.cols, "); got (", rated_table.rows, ", ",
          rated_table.cols, ")");
    const auto arrays = hidden_arrays<float>(weights, biases, false, caller);
    Mlp<float> network(hidden_layers(config), false, OptimizerKind::gradient_descent);
    network.check_arrays(arrays, caller);
    check(depth >= 1 && depth <= network.n_layers(), caller, ": depth must lie in [1, ", network.n_layers(), "]; got ",
          depth);
    const std::int64_t width = network.layer(depth - 1).outputs;
    py::array_t<float> out({rows.rows, width});
    float* const result = out.mutable_data();
    const py::gil_scoped_release release;
    network.upload(arrays);
    constexpr std::int64_t kRows = 1024;
    for (std::int64_t begin = 0; begin < rows.rows; begin += kRows) {
        if (interrupt_pending()) throw Interrupted();
        const std::int64_t n = std::min(kRows, rows.rows - begin), first = rows.indptr[begin];
        const std::int64_t entries = rows.indptr[begin + n] - first;
        std::vector<std::int64_t> places(rows.indptr + begin, rows.indptr + begin + n + 1);
        for (std::int64_t& place : places) place -= first;
        const DeviceArray<std::int64_t> offsets(places);
        const DeviceArray<std::int32_t> columns(rows.indices + first, entries);
        const DeviceArray<float> inputs(rows.values + first, entries);
        DeviceArray<float> products(n * table.cols);
        const MatrixView<float> sums{products.data(), n, table.cols, table.cols};
        spmm<float>({offsets.data(), columns.data(), nullptr, inputs.data(), n, entries}, table, sums, {}, n_threads);
        if (config.rated) {
            std::vector<float> values_fed;
            for (std::int64_t r = 0; r < n; ++r) {
                const std::int64_t size = places[static_cast<std::size_t>(r) + 1] - places[static_cast<std::size_t>(r)];
                values_fed.insert(values_fed.end(), static_cast<std::size_t>(size),
                                  rated_value<float>(rated_input, size));
            }
            const DeviceArray<float> rated(values_fed);
            spmm<float>({offsets.data(), columns.data(), nullptr, rated.data(), n, entries}, rated_table, sums, {},
                        n_threads, true);
        }
        const auto values_of = network.forward(sums, {}, n_threads, depth);
        device_download(result + begin * width, values_of.data, n * width * static_cast<std::int64_t>(sizeof(float)));
    }
    return out;
}

}  // namespace

void register_autoencoder(py::module_& module) {
    module.def(
        "autoencoder_gradient",
        [](const py::object& indptr, const py::object& indices, const py::object& inputs, const py::object& targets,
           std::int64_t n_columns, const py::tuple& parameters, const py::tuple& gradient, const py::object& weights,
           const std::vector<std::int64_t>& layers, const std::string& activation, const std::string& output_activation,
           bool tied, double dropout, bool alpha_dropout, double input_dropout, double rated_input,
           const py::object& offsets, const std::string& cost, std::uint64_t seed, bool dense, int n_threads) {
            const char* caller = "autoencoder_gradient";
            const AutoencoderConfig config = config_in(n_columns, layers, activation, output_activation, tied, dropout,
                                                       alpha_dropout, rated_input, cost, caller);
            check(config.loss == Loss::squared || (config.output_activation == Activation::identity && !dense), caller,
                  ": cost='logistic' goes with output_activation='identity' and sparse rows");
            const auto run = py::isinstance<py::array_t<double>>(inputs) ? gradient_in<double> : gradient_in<float>;
            return run(indptr, indices, inputs, targets, weights, offsets, config, parameters, gradient, input_dropout,
                       rated_input, seed, dense, n_threads);
        },
        py::arg("indptr"), py::arg("indices"), py::arg("inputs"), py::arg("targets"), py::arg("n_columns"),
        py::arg("parameters"), py::arg("gradient"), py::kw_only(), py::arg("weights") = py::none(), py::arg("layers"),
        py::arg("activation"), py::arg("output_activation") = "identity", py::arg("tied") = false,
        py::arg("dropout") = 0.0, py::arg("alpha_dropout") = false, py::arg("input_dropout") = 0.0,
        py::arg("rated_input") = 0.0, py::arg("offsets") = py::none(), py::arg("cost") = "squared", py::arg("seed") = 0,
        py::arg("dense") = false, py::arg("n_threads") = 0);
    module.def("autoencoder_hidden", hidden_of, py::arg("indptr"), py::arg("indices"), py::arg("values"),
               py::arg("input_weights"), py::arg("hidden_weights"), py::arg("hidden_biases"),
               py::arg("rated_weights") = py::none(), py::kw_only(), py::arg("layers"), py::arg("activation"),
               py::arg("tied"), py::arg("rated_input") = 0.0, py::arg("depth"), py::arg("n_threads") = 0);

    const char* name = "AutoencoderTrainer";
    py::class_<AutoencoderTrainer>(module, name, py::module_local())
        .def(py::init([name](const py::object& indptr, const py::object& indices, const py::object& inputs,
                             const py::object& targets, std::int64_t n_columns, const py::object& weights,
                             const std::vector<std::int64_t>& layers, const std::string& activation,
                             const std::string& output_activation, bool tied, double dropout, bool alpha_dropout,
                             double input_dropout, double rated_input, const py::object& offsets,
                             const std::string& cost, int dense_refeeding, const std::string& optimizer, double decay,
                             double second_decay, double epsilon, double weight_decay, bool penalised_bias,
                             std::int64_t batch_size, float lowest, float highest, std::uint64_t seed, int n_threads) {
                 const auto rows = rows_in<float>(indptr, indices, inputs, targets, weights, offsets, n_columns, name);
                 AutoencoderConfig config = config_in(n_columns, layers, activation, output_activation, tied, dropout,
                                                      alpha_dropout, rated_input, cost, name);
                 config.penalised_bias = penalised_bias;
                 AutoencoderTraining training;
                 training.optimizer = optimizer_in(optimizer, decay, second_decay, epsilon, weight_decay, name);
                 training.batch_size = batch_size;
                 training.dense_refeeding = dense_refeeding;
                 training.input_dropout = input_dropout;
                 training.rated_input = rated_input;
                 training.lowest = lowest;
                 training.highest = highest;
                 training.seed = seed;
                 training.n_threads = n_threads;
                 const py::gil_scoped_release release;
                 return std::make_unique<AutoencoderTrainer>(rows, config, training);
             }),
             py::arg("indptr"), py::arg("indices"), py::arg("inputs"), py::arg("targets"), py::arg("n_columns"),
             py::kw_only(), py::arg("weights") = py::none(), py::arg("layers"), py::arg("activation"),
             py::arg("output_activation"), py::arg("tied"), py::arg("dropout") = 0.0, py::arg("alpha_dropout") = false,
             py::arg("input_dropout") = 0.0, py::arg("rated_input") = 0.0, py::arg("offsets") = py::none(),
             py::arg("cost") = "squared", py::arg("dense_refeeding") = 0, py::arg("optimizer") = "gd",
             py::arg("decay") = 0.0, py::arg("second_decay") = 0.0, py::arg("epsilon") = 0.0,
             py::arg("weight_decay") = 0.0, py::arg("penalised_bias") = false, py::arg("batch_size"), py::arg("lowest"),
             py::arg("highest"), py::arg("seed"), py::arg("n_threads") = 0)
        .def(
            "set_parameters",
            [](AutoencoderTrainer& self, const py::tuple& parameters) {
                const auto arrays = arrays_in<float>(parameters, false, "AutoencoderTrainer.set_parameters");
                const py::gil_scoped_release release;
                self.set_parameters(arrays);
            },
            py::arg("parameters"))
        .def(
            "get_parameters",
            [](AutoencoderTrainer& self, const py::tuple& parameters) {
                const auto arrays = arrays_in<float>(parameters, true, "AutoencoderTrainer.get_parameters");
                const py::gil_scoped_release release;
                self.get_parameters(arrays);
            },
            py::arg("parameters"))
        .def("epoch", &AutoencoderTrainer::epoch, py::arg("learning_rate"), py::call_guard<py::gil_scoped_release>())
        .def("penalty", &AutoencoderTrainer::penalty, py::call_guard<py::gil_scoped_release>())
        .def(
            "set_validation",
            [](AutoencoderTrainer& self, const py::object& rows, const py::object& columns, const py::object& offsets,
               const py::object& values, float scale) {
                const char* caller = "AutoencoderTrainer.set_validation";
                self.set_validation(
                    vector_in<std::int32_t>(rows, caller, "rows"), vector_in<std::int32_t>(columns, caller, "columns"),
                    vector_in<float>(offsets, caller, "offsets"), vector_in<float>(values, caller, "values"), scale);
            },
            py::arg("rows"), py::arg("columns"), py::arg("offsets"), py::arg("values"), py::arg("scale") = 1.0f)
        .def("validation_squared_error", &AutoencoderTrainer::validation_squared_error,
             py::call_guard<py::gil_scoped_release>())
        .def("validation_log_loss", &AutoencoderTrainer::validation_log_loss, py::call_guard<py::gil_scoped_release>())
        .def("save_best", &AutoencoderTrainer::save_best, py::call_guard<py::gil_scoped_release>())
        .def("restore_best", &AutoencoderTrainer::restore_best, py::call_guard<py::gil_scoped_release>());
}

}  // namespace fastcf::bind
