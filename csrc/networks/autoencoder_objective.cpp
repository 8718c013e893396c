#include "networks/autoencoder_objective.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/check.h"
#include "core/interrupt.h"
#include "ops/spmm.h"

namespace fastcf {
namespace {

std::size_t at_place(std::int64_t i) {
    return static_cast<std::size_t>(i);
}

// Adds the penalty's gradient where a batch has not done so already: to rows of the ends of columns without entries,
// and to all weights between.
template <class T>
void penalise_rest(const AutoencoderArrays<T>& at, const AutoencoderConfig& config, double weight_decay,
                   const std::vector<std::int32_t>& stored, const AutoencoderArrays<T>& gradient) {
    std::vector<bool> done(at_place(config.n_columns));
    for (const std::int32_t column : stored) done[at_place(column)] = true;
    const auto table = [&](const MatrixView<T>& weights, const MatrixView<T>& slopes) {
        for (std::int64_t c = 0; c < weights.rows; ++c)
            if (!done[at_place(c)])
                penalise<T>({weights.row(c), 1, weights.cols, weights.stride}, weight_decay,
                            {slopes.row(c), 1, slopes.cols, slopes.stride});
    };
    table(at.input_weights, gradient.input_weights);
    table(at.output_weights, gradient.output_weights);
    table(at.rated_weights, gradient.rated_weights);
    penalise(at.rated_effects, kEffectPenalty * weight_decay, gradient.rated_effects);
    const auto column = [](const VectorView<T>& vector) { return MatrixView<T>{vector.data, vector.size, 1, 1}; };
    if (config.penalised_bias) table(column(at.output_bias), column(gradient.output_bias));
    for (std::size_t m = 0; m < at.hidden.matrices.size(); ++m)
        penalise(at.hidden.matrices[m], weight_decay, gradient.hidden.matrices[m]);
}

// Of rows as dense ones; returns the cost.
template <class T>
double dense_gradient(Autoencoder<T>& network, const TrainingRows<T>& rows, const AutoencoderObjective& objective,
                      const DropoutSeed& dropout, const AutoencoderArrays<T>& gradient) {
    const std::int64_t n = rows.structure.rows, m = objective.network.n_columns;
    std::vector<T> x(at_place(n * m));
    for (std::int64_t r = 0; r < n; ++r)
        for (std::int64_t e = rows.structure.indptr[r]; e < rows.structure.indptr[r + 1]; ++e)
            x[at_place(r * m + rows.structure.indices[e])] = rows.inputs[e];
    const DeviceArray<T> fed(x);
    DeviceArray<T> answer(n * m);
    DeviceArray<double> loss = DeviceArray<double>::zeros(1);
    const double scale = 1 / static_cast<double>(std::max<std::int64_t>(n * m, 1));
    network.dense_gradient({fed.data(), n, m, m}, {answer.data(), n, m, m}, scale, dropout, loss.data(),
                           objective.n_threads);
    std::vector<std::int32_t> all(at_place(m));
    std::iota(all.begin(), all.end(), 0);
    network.download_gradient(gradient, {all.data(), m}, objective.n_threads);
    return 2 * loss.to_host().front() * scale;
}

}  // namespace

template <class T>
double autoencoder_gradient(const TrainingRows<T>& rows, const AutoencoderObjective& objective,
                            const AutoencoderArrays<T>& at, const AutoencoderArrays<T>& gradient) {
    const char* caller = "autoencoder_gradient";
    const AutoencoderConfig& config = objective.network;
    check_autoencoder(config, caller);
    check(config.loss == NetworkLoss::squared || (config.output_activation == Activation::identity && !objective.dense),
          caller, ": cost='logistic' and 'multinomial' go with output_activation='identity' and sparse rows");
    const bool multinomial = config.loss == NetworkLoss::multinomial;
    check(!multinomial || (rows.weights == nullptr && rows.offsets == nullptr), caller,
          ": cost='multinomial' goes without weights and offsets");
    check_rated_output(config, objective.rated_output, objective.dense, caller);
    check(objective.n_negatives >= 0, caller, ": n_negatives must not be negative; got ", objective.n_negatives);
    check(objective.weight_decay >= 0, caller, ": weight_decay must not be negative; got ", objective.weight_decay);
    Autoencoder<T> network(config, OptimizerKind::gradient_descent);
    const bool centred = at.rated_effects.rows > 0;
    check(centred == objective.rated_output && centred == (gradient.rated_effects.rows > 0), caller,
          ": rated_effects must be given with rated_output, and only then");
    if (centred) network.centre_outputs(rows.structure, OptimizerKind::gradient_descent);
    network.check_arrays(at, caller);
    network.check_arrays(gradient, caller);
    network.upload(at, objective.n_threads);
    const DropoutSeed dropout{config.dropout > 0, objective.seed, 0};
    const double penalty =
        objective.weight_decay > 0 ? 0.5 * objective.weight_decay * network.squared_norm(objective.n_threads) : 0;
    if (objective.dense) {
        const double cost = dense_gradient(network, rows, objective, dropout, gradient);
        if (objective.weight_decay > 0) penalise_rest(at, config, objective.weight_decay, {}, gradient);
        return cost + penalty;
    }
    RowBatches<T> batches(rows, std::max<std::int64_t>(rows.structure.rows, 1), objective.rated_input, objective.seed);
    if (objective.weight_decay > 0) batches.share_decay(objective.weight_decay);
    if (multinomial) batches.ask_columns(objective.n_negatives);
    if (centred) batches.place_columns();
    batches.start(0);
    const RowBatch<T> batch = batches.batch(0);
    const double weight = multinomial ? static_cast<double>(batch.chosen_rows) : batch.weight;
    const double scale = weight > 0 ? 1 / weight : 0;
    DeviceArray<double> loss = DeviceArray<double>::zeros(1);
    network.gradient(batch, scale, dropout, loss.data(), objective.n_threads);
    std::vector<std::int32_t> touched(at_place(batch.touched.size));
    device_download(touched.data(), batch.touched.data, batch.touched.size * 4);
    network.download_gradient(gradient, {touched.data(), batch.touched.size}, objective.n_threads);
    const std::vector<std::int32_t> stored(rows.structure.indices, rows.structure.indices + rows.structure.nnz());
    if (objective.weight_decay > 0) penalise_rest(at, config, objective.weight_decay, stored, gradient);
    return (multinomial ? 1 : 2) * loss.to_host().front() * scale + penalty;
}

template double autoencoder_gradient<float>(const TrainingRows<float>&, const AutoencoderObjective&,
                                            const AutoencoderArrays<float>&, const AutoencoderArrays<float>&);
template double autoencoder_gradient<double>(const TrainingRows<double>&, const AutoencoderObjective&,
                                             const AutoencoderArrays<double>&, const AutoencoderArrays<double>&);

std::int64_t hidden_width(const AutoencoderEncoder& encoder, const char* caller) {
    check_autoencoder(encoder.network, caller);
    const std::vector<DenseLayer> layers = hidden_layers(encoder.network);
    const auto n = static_cast<int>(layers.size());
    check(encoder.depth >= 1 && encoder.depth <= n, caller, ": depth must lie in [1, ", n, "]; got ", encoder.depth);
    return layers[at_place(encoder.depth - 1)].outputs;
}

void autoencoder_hidden(const CsrView& rows, const AutoencoderEncoder& encoder, MatrixView<float> out) {
    const char* caller = "autoencoder_hidden";
    const std::int64_t width = hidden_width(encoder, caller), fed = encoder.network.layers.front();
    const MatrixView<const float>&table = encoder.input_weights, &rated_table = encoder.rated_weights;
    check(table.cols == fed, caller, ": input_weights must have ", fed, " columns; got ", table.cols);
    check(!encoder.network.rated || (rated_table.rows == table.rows && rated_table.cols == table.cols), caller,
          ": rated_weights must have shape (", table.rows, ", ", table.cols, "); got (", rated_table.rows, ", ",
          rated_table.cols, ")");
    check(rows.values != nullptr || rows.nnz() == 0, caller, ": values must be given");
    check(out.rows == rows.rows && out.cols == width, caller, ": the result must have shape (", rows.rows, ", ", width,
          "); got (", out.rows, ", ", out.cols, ")");
    Mlp<float> network(hidden_layers(encoder.network), false, OptimizerKind::gradient_descent);
    network.check_arrays(encoder.hidden, caller);
    network.upload(encoder.hidden);
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
        DeviceArray<float> products(n * fed);
        const MatrixView<float> sums{products.data(), n, fed, fed};
        const auto add = [&](const DeviceArray<float>& values, MatrixView<const float> weights, bool begun) {
            spmm<float>({offsets.data(), columns.data(), nullptr, values.data(), n, entries}, weights, sums, {},
                        encoder.n_threads, begun);
        };
        add(inputs, table, false);
        if (encoder.network.rated) {
            std::vector<float> values;
            for (std::int64_t r = 0; r < n; ++r) {
                const std::int64_t size = places[at_place(r) + 1] - places[at_place(r)];
                values.insert(values.end(), at_place(size), rated_value<float>(encoder.rated_input, size));
            }
            add(DeviceArray<float>(values), rated_table, true);
        }
        const auto hidden = network.forward(sums, {}, encoder.n_threads, encoder.depth);
        device_download(out.row(begin), hidden.data, n * width * static_cast<std::int64_t>(sizeof(float)));
    }
}

}  // namespace fastcf
