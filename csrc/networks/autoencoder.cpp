#include "networks/autoencoder.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "ops/activation.h"
#include "ops/gemm.h"
#include "ops/loss.h"
#include "ops/mf_gradient.h"
#include "ops/rows.h"
#include "ops/softmax.h"
#include "ops/spmm.h"

namespace fastcf {
namespace {

template <class T>
void check_table(const MatrixView<T>& arrays, std::int64_t rows, std::int64_t cols, const char* caller,
                 const char* name) {
    check(arrays.rows == rows && arrays.cols == cols, caller, ": ", name, " must have shape (", rows, ", ", cols,
          "); got (", arrays.rows, ", ", arrays.cols, ")");
}

template <class T>
void download_table(const DeviceArray<T>& from, const MatrixView<T>& to) {
    if (to.rows > 0) from.download(to.data);
}

}  // namespace

void check_autoencoder(const AutoencoderConfig& config, const char* caller) {
    check(!config.layers.empty(), caller, ": layers must not be empty");
    for (const std::int64_t size : config.layers)
        check(size >= 1 && size <= (1 << 20), caller, ": layers must lie in [1, 2^20]; got ", size);
    check(config.dropout >= 0 && config.dropout < 1, caller, ": dropout must lie in [0, 1); got ", config.dropout);
    check(config.output_rate > 0 && std::isfinite(config.output_rate), caller,
          ": output_rate must be finite and positive; got ", config.output_rate);
    check(config.output_rate == 1 || !config.tied, caller, ": output_rate goes without tied weights");
}

void check_rated_output(const AutoencoderConfig& config, bool rated_output, bool dense, const char* caller) {
    check(!rated_output || !(config.tied || dense || config.loss == NetworkLoss::multinomial), caller,
          ": rated_output goes without tied weights, dense rows and cost='multinomial'");
}

std::vector<DenseLayer> hidden_layers(const AutoencoderConfig& config) {
    const std::vector<std::int64_t>& sizes = config.layers;
    std::vector<DenseLayer> layers;
    layers.push_back({sizes.front(), sizes.front(), -1, false, config.activation, config.dropout});
    int matrix = 0;
    for (std::size_t l = 1; l < sizes.size(); ++l)
        layers.push_back({sizes[l - 1], sizes[l], matrix++, false, config.activation, config.dropout});
    for (std::size_t l = sizes.size() - 1; l > 0; --l) {
        const int mirrored = static_cast<int>(l) - 1;
        layers.push_back(
            {sizes[l], sizes[l - 1], config.tied ? mirrored : matrix++, config.tied, config.activation, 0.0});
    }
    return layers;
}

template <class T>
Autoencoder<T>::Autoencoder(const AutoencoderConfig& config, OptimizerKind kind)
    : config_(config), hidden_(hidden_layers(config), config.alpha, kind) {
    input_ = OptimizedRows<T>(config.n_columns, width(), kind);
    if (!config.tied) output_ = OptimizedRows<T>(config.n_columns, width(), kind);
    if (config.rated) rated_ = OptimizedRows<T>(config.n_columns, width(), kind);
    output_bias_ = OptimizedRows<T>(config.n_columns, 1, kind);
    std::vector<std::int32_t> rows(static_cast<std::size_t>(config.n_columns));
    std::iota(rows.begin(), rows.end(), 0);
    all_rows_ = DeviceArray<std::int32_t>(rows);
    std::vector<std::int64_t> places(static_cast<std::size_t>(config.n_columns) + 1);
    std::iota(places.begin(), places.end(), 0);
    places_ = DeviceArray<std::int64_t>(places);
}

template <class T>
void Autoencoder<T>::centre_outputs(const CsrView& rows, OptimizerKind kind) {
    centres_ = RatedCentres<T>(rows, width(), kind);
    whole_ = DeviceArray<T>::zeros(config_.n_columns * width());
}

template <class T>
void Autoencoder<T>::check_arrays(const AutoencoderArrays<T>& arrays, const char* caller) const {
    const std::int64_t n = config_.n_columns;
    check_table(arrays.input_weights, n, width(), caller, "input_weights");
    check_table(arrays.output_weights, config_.tied ? 0 : n, config_.tied ? 0 : width(), caller, "output_weights");
    check_table(arrays.rated_weights, config_.rated ? n : 0, config_.rated ? width() : 0, caller, "rated_weights");
    if (arrays.rated_effects.rows > 0)
        check_table(arrays.rated_effects, centres_.effects().rows, centres_.effects().cols, caller, "rated_effects");
    check(arrays.output_bias.size == n, caller, ": output_bias must have ", n, " entries; got ",
          arrays.output_bias.size);
    hidden_.check_arrays(arrays.hidden, caller);
}

template <class T>
void Autoencoder<T>::upload(const AutoencoderArrays<T>& from, int n_threads) {
    check_arrays(from, "Autoencoder");
    input_.values.upload(from.input_weights.data);
    if (!config_.tied) output_.values.upload(from.output_weights.data);
    if (config_.rated) rated_.values.upload(from.rated_weights.data);
    output_bias_.values.upload(from.output_bias.data);
    hidden_.upload(from.hidden);
    for (OptimizedRows<T>* table : tables()) table->forget();
    output_bias_.forget();
    if (!centres_.empty()) centres_.upload(from.rated_effects.rows > 0 ? from.rated_effects.data : nullptr, n_threads);
}

template <class T>
void Autoencoder<T>::download(const AutoencoderArrays<T>& to) {
    check_arrays(to, "Autoencoder");
    download_table(input_.values, to.input_weights);
    const bool whole = !centres_.empty() && to.rated_effects.rows == 0;
    download_table(whole ? whole_ : output_.values, to.output_weights);
    if (to.rated_effects.rows > 0) centres_.download(to.rated_effects.data);
    download_table(rated_.values, to.rated_weights);
    output_bias_.values.download(to.output_bias.data);
    hidden_.download(to.hidden);
}

template <class T>
void Autoencoder<T>::download_gradient(const AutoencoderArrays<T>& to, VectorView<const std::int32_t> touched,
                                       int n_threads) {
    check_arrays(to, "Autoencoder");
    const std::int64_t n = config_.n_columns * width();
    std::fill_n(to.input_weights.data, n, T(0));
    spread_rows(input_gradient_, touched, width(), to.input_weights.data);
    if (!config_.tied) {
        std::fill_n(to.output_weights.data, n, T(0));
        spread_rows(output_gradient_, touched, width(), to.output_weights.data);
    }
    if (config_.rated) {
        std::fill_n(to.rated_weights.data, n, T(0));
        if (fed_rated_) spread_rows(rated_gradient_, touched, width(), to.rated_weights.data);
    }
    if (to.rated_effects.rows > 0) centres_.gradient(n_threads).download(to.rated_effects.data);
    std::fill_n(to.output_bias.data, config_.n_columns, T(0));
    spread_rows(bias_gradient_, touched, 1, to.output_bias.data);
    hidden_.download_gradient(to.hidden);
}

template <class T>
MatrixView<T> Autoencoder<T>::sized(DeviceArray<T>& array, std::int64_t rows, std::int64_t cols) {
    array.reserve(rows * cols);
    return {array.data(), rows, cols, cols};
}

template <class T>
std::vector<OptimizedRows<T>*> Autoencoder<T>::tables() {
    std::vector<OptimizedRows<T>*> all{&input_};
    if (!config_.tied) all.push_back(&output_);
    if (config_.rated) all.push_back(&rated_);
    return all;
}

template <class T>
MatrixView<const T> Autoencoder<T>::hidden(const RowBatch<T>& batch, const DropoutSeed& dropout, int n_threads) {
    const MatrixView<T> products = sized(products_, batch.rows, width());
    const auto by_row = [&](const T* values) {
        return SparseRows<T>{batch.indptr, batch.columns, nullptr, values, batch.rows, batch.n};
    };
    spmm<T>(by_row(batch.inputs), input_.view(), products, {}, n_threads);
    if (config_.rated) spmm<T>(by_row(batch.rated), rated_.view(), products, {}, n_threads, true);
    return hidden_.forward(products, dropout, n_threads);
}

template <class T>
typename Autoencoder<T>::LastLayer Autoencoder<T>::last_layer() const {
    const MatrixView<const T> table = output_table().view();
    return {{centres_.empty() ? table.data : whole_.data(), table.rows, table.cols, table.stride},
            {output_bias_.values.data(), config_.n_columns}};
}

template <class T>
typename Autoencoder<T>::LastLayer Autoencoder<T>::last_layer(const RowBatch<T>& batch, int n_threads) {
    const std::int64_t n = batch.touched.size;
    const MatrixView<T> table = sized(table_, n, width()), biases = sized(biases_, n, 1);
    gather_rows<T>(output_table().view(), batch.touched, {}, table, n_threads);
    gather_rows<T>(output_bias_.view(), batch.touched, {}, biases, n_threads);
    if (!centres_.empty()) centres_.add_to(table, batch.touched, places_.data(), n_threads);
    return {{table.data, n, width(), width()}, {biases.data, n}};
}

template <class T>
void Autoencoder<T>::outputs(MatrixView<const T> hidden, const LastLayer& last, const std::int64_t* indptr,
                             const std::int32_t* columns, std::int64_t n, VectorView<const T> offsets, T* out,
                             int n_threads) {
    MfRatings<T> pairs;
    pairs.indptr = indptr;
    pairs.items = columns;
    pairs.n_users = hidden.rows;
    pairs.n_items = last.table.rows;
    pairs.entries = n;
    const MfParameters<const T> at{hidden.data, last.table.data, nullptr, last.bias.data, hidden.cols, hidden.stride};
    mf_predict<T>(pairs, {}, at, out, n_threads);
    activate<T>(config_.output_activation, {out, 1, n, n}, offsets, n_threads);
}

template <class T>
void Autoencoder<T>::outputs(MatrixView<const T> hidden, const std::int64_t* indptr, const std::int32_t* columns,
                             std::int64_t n, VectorView<const T> offsets, T* out, int n_threads) {
    outputs(hidden, last_layer(), indptr, columns, n, offsets, out, n_threads);
}

template <class T>
void Autoencoder<T>::dense_outputs(MatrixView<const T> hidden, MatrixView<T> out, int n_threads) {
    const LastLayer last = last_layer();
    gemm<T>(false, true, T(1), hidden, last.table, T(0), out, n_threads);
    activate<T>(config_.output_activation, out, last.bias, n_threads);
}

// The gradient of touched rows' penalty, added to what has begun; whether there is any.
template <class T>
bool Autoencoder<T>::penalty_gradient(const RowBatch<T>& batch, const OptimizedRows<T>& table, MatrixView<T> gradient,
                                      bool begun, int n_threads) {
    if (batch.decay == nullptr) return begun;
    const std::int64_t n = batch.touched.size;
    spmm<T>({places_.data(), batch.touched.data, nullptr, batch.decay, n, n}, table.view(), gradient, {}, n_threads,
            begun);
    return true;
}

template <class T>
void Autoencoder<T>::sampled_outputs(const RowBatch<T>& batch, double scale, double* loss,
                                     MatrixView<T> hidden_gradient, MatrixView<T> output_gradient, bool begun,
                                     int n_threads) {
    const std::int64_t n = batch.n;
    T* const predicted = sized(predicted_, 1, n).data;
    T* const slopes = sized(slopes_, 1, n).data;
    const LastLayer last = centres_.empty() ? last_layer() : last_layer(batch, n_threads);
    const std::int32_t* const columns = centres_.empty() ? batch.columns : batch.places;
    outputs(hidden_values_, last, batch.indptr, columns, n, {batch.offsets, batch.offsets == nullptr ? 0 : n},
            predicted, n_threads);
    loss_gradient<T>(config_.loss == NetworkLoss::logistic ? Loss::logistic : Loss::squared, {predicted, n},
                     {batch.targets, n}, {batch.weights, batch.weights == nullptr ? 0 : n}, 2 * scale, {slopes, n},
                     loss, n_threads);
    activation_gradient<T>(config_.output_activation, {predicted, 1, n, n}, {slopes, 1, n, n}, {}, n_threads);
    spmm<T>({batch.indptr, columns, nullptr, slopes, batch.rows, n}, last.table, hidden_gradient, {}, n_threads);
    spmm<T>({batch.column_indptr, batch.column_rows, batch.column_entries, slopes, batch.touched.size, n},
            hidden_values_, output_gradient, {bias_gradient_.data(), batch.touched.size}, n_threads, begun);
}

template <class T>
void Autoencoder<T>::softmax_outputs(const RowBatch<T>& batch, double scale, double* loss,
                                     MatrixView<T> hidden_gradient, MatrixView<T> output_gradient, bool begun,
                                     int n_threads) {
    const std::int64_t n = batch.touched.size;
    LastLayer last = last_layer();
    if (n < config_.n_columns || batch.shifts != nullptr) {
        last = last_layer(batch, n_threads);
        if (batch.shifts != nullptr)
            activate<T>(Activation::identity, {biases_.data(), 1, n, n}, {batch.shifts, n}, n_threads);
    }
    const MatrixView<T> scores = sized(predicted_, batch.rows, n);
    const MatrixView<const T> slopes{scores.data, batch.rows, n, n};
    gemm<T>(false, true, T(1), hidden_values_, last.table, T(0), scores, n_threads);
    softmax_gradient<T>({batch.indptr, batch.places, batch.targets, batch.rows, batch.n}, last.bias, scale, scores,
                        loss, n_threads);
    activation_gradient<T>(Activation::identity, slopes, scores, {bias_gradient_.data(), n}, n_threads);
    gemm<T>(false, false, T(1), slopes, last.table, T(0), hidden_gradient, n_threads);
    gemm<T>(true, false, T(1), slopes, hidden_values_, begun ? T(1) : T(0), output_gradient, n_threads);
}

template <class T>
void Autoencoder<T>::gradient(const RowBatch<T>& batch, double scale, const DropoutSeed& dropout, double* loss,
                              int n_threads) {
    const std::int64_t n = batch.n, touched = batch.touched.size;
    const bool centred = !centres_.empty();
    hidden_values_ = hidden(batch, dropout, n_threads);
    const MatrixView<T> products{products_.data(), batch.rows, width(), width()};
    const MatrixView<T> hidden_gradient = sized(hidden_gradient_, batch.rows, width());
    const auto by_column = [&](const T* values) {
        return SparseRows<T>{batch.column_indptr, batch.column_rows, batch.column_entries, values, touched, n};
    };
    const MatrixView<T> input_gradient = sized(input_gradient_, touched, width());
    const MatrixView<T> output_gradient = config_.tied ? input_gradient : sized(output_gradient_, touched, width());
    bias_gradient_.reserve(touched);
    // The penalty first, and errors added to it; but effects are asked for the gradient of errors alone.
    bool begun = !centred && penalty_gradient(batch, output_table(), output_gradient, false, n_threads);
    if (config_.loss == NetworkLoss::multinomial)
        softmax_outputs(batch, scale, loss, hidden_gradient, output_gradient, begun, n_threads);
    else
        sampled_outputs(batch, scale, loss, hidden_gradient, output_gradient, begun, n_threads);
    if (centred) {
        centres_.collect(batch.touched, output_gradient.data, n_threads);
        penalty_gradient(batch, output_table(), output_gradient, true, n_threads);
    }
    if (config_.penalised_bias)
        penalty_gradient(batch, output_bias_, {bias_gradient_.data(), touched, 1, 1}, true, n_threads);
    begun = config_.tied || penalty_gradient(batch, input_, input_gradient, false, n_threads);
    const MatrixView<T> down =
        hidden_.backward({products.data, products.rows, products.cols, products.stride}, hidden_gradient, n_threads);
    const MatrixView<const T> slope{down.data, down.rows, down.cols, down.stride};
    spmm<T>(by_column(batch.inputs), slope, input_gradient, {}, n_threads, begun);
    fed_rated_ = config_.rated;
    if (!fed_rated_) return;
    const MatrixView<T> rated_gradient = sized(rated_gradient_, touched, width());
    begun = penalty_gradient(batch, rated_, rated_gradient, false, n_threads);
    spmm<T>(by_column(batch.rated), slope, rated_gradient, {}, n_threads, begun);
}

template <class T>
void Autoencoder<T>::dense_gradient(MatrixView<const T> x, MatrixView<T> out, double scale, const DropoutSeed& dropout,
                                    double* loss, int n_threads) {
    const std::int64_t n = config_.n_columns, size = x.rows * n;
    fed_rated_ = false;
    const MatrixView<T> products = sized(products_, x.rows, width());
    gemm<T>(false, false, T(1), x, input_.view(), T(0), products, n_threads);
    hidden_values_ = hidden_.forward(products, dropout, n_threads);
    dense_outputs(hidden_values_, out, n_threads);
    const MatrixView<T> slopes = sized(slopes_, x.rows, n);
    loss_gradient<T>(Loss::squared, {out.data, size}, {x.data, size}, {}, 2 * scale, {slopes.data, size}, loss,
                     n_threads);
    bias_gradient_.reserve(n);
    activation_gradient<T>(config_.output_activation, {out.data, x.rows, n, n}, slopes, {bias_gradient_.data(), n},
                           n_threads);
    const MatrixView<const T> errors{slopes.data, x.rows, n, n};
    const MatrixView<T> hidden_gradient = sized(hidden_gradient_, x.rows, width());
    gemm<T>(false, false, T(1), errors, output_table().view(), T(0), hidden_gradient, n_threads);
    const MatrixView<T> input_gradient = sized(input_gradient_, n, width());
    const MatrixView<T> output_gradient = config_.tied ? input_gradient : sized(output_gradient_, n, width());
    gemm<T>(true, false, T(1), errors, hidden_values_, T(0), output_gradient, n_threads);
    const MatrixView<T> down =
        hidden_.backward({products.data, products.rows, products.cols, products.stride}, hidden_gradient, n_threads);
    gemm<T>(true, false, T(1), x, {down.data, down.rows, down.cols, down.stride}, config_.tied ? T(1) : T(0),
            input_gradient, n_threads);
}

template <class T>
Optimizer Autoencoder<T>::bias_optimizer(Optimizer optimizer) const {
    if (!config_.penalised_bias) optimizer.weight_decay = 0;
    return optimizer;
}

template <class T>
void Autoencoder<T>::catch_up(const Optimizer& optimizer, std::int64_t step, VectorView<const std::int32_t> rows,
                              int n_threads) {
    for (OptimizedRows<T>* table : tables()) optimizer_catch_up<T>(optimizer, step, table->state(), rows, n_threads);
    optimizer_catch_up<T>(bias_optimizer(optimizer), step, output_bias_.state(), rows, n_threads);
}

template <class T>
void Autoencoder<T>::flush(const Optimizer& optimizer, std::int64_t step, int n_threads) {
    for (OptimizedRows<T>* table : tables()) optimizer_flush<T>(optimizer, step, table->state(), n_threads);
    optimizer_flush<T>(bias_optimizer(optimizer), step, output_bias_.state(), n_threads);
    if (centres_.empty()) return;
    whole_.assign(output_.values, n_threads);
    centres_.add_to({whole_.data(), config_.n_columns, width(), width()}, all_rows(), places_.data(), n_threads);
}

template <class T>
void Autoencoder<T>::step(const Optimizer& rows_optimizer, const Optimizer& optimizer, double learning_rate,
                          std::int64_t number, VectorView<const std::int32_t> rows, int n_threads) {
    const auto step_rows = [&](const Optimizer& how, OptimizedRows<T>& table, const DeviceArray<T>& gradient,
                               double share = 1) {
        optimizer_step_rows<T>(how, share * learning_rate, number, table.state(), rows, gradient.data(), table.cols,
                               n_threads);
    };
    step_rows(rows_optimizer, input_, input_gradient_);
    if (!config_.tied) step_rows(rows_optimizer, output_, output_gradient_, config_.output_rate);
    if (fed_rated_) step_rows(rows_optimizer, rated_, rated_gradient_);
    step_rows(bias_optimizer(rows_optimizer), output_bias_, bias_gradient_);
    hidden_.step(optimizer, learning_rate, number, n_threads);
}

template <class T>
double Autoencoder<T>::squared_norm(int n_threads) const {
    double sum = hidden_.squared_norm(n_threads);
    for (const OptimizedRows<T>* table : {&input_, &output_, &rated_, &output_bias_})
        if (table != &output_bias_ || config_.penalised_bias) sum += table->squared_norm(n_threads);
    if (!centres_.empty()) sum += kEffectPenalty * centres_.effects().squared_norm(n_threads);
    return sum;
}

template <class T>
void Autoencoder<T>::save_best(int n_threads) {
    for (OptimizedRows<T>* table : {&input_, &output_, &rated_, &output_bias_}) table->save_best(n_threads);
    hidden_.save_best(n_threads);
    if (!centres_.empty()) centres_.save_best(n_threads);
}

template <class T>
void Autoencoder<T>::restore_best(int n_threads) {
    for (OptimizedRows<T>* table : {&input_, &output_, &rated_, &output_bias_}) table->restore_best(n_threads);
    hidden_.restore_best(n_threads);
    if (!centres_.empty()) centres_.restore_best(n_threads);
}

template <class T>
void Autoencoder<T>::list_state(StateFields& fields) {
    input_.list_state(fields, "input");
    if (!config_.tied) output_.list_state(fields, "output");
    if (config_.rated) rated_.list_state(fields, "rated");
    output_bias_.list_state(fields, "output_bias");
    if (!centres_.empty()) centres_.list_state(fields, "effects");
    hidden_.parameters().list_state(fields, "hidden");
}

template class Autoencoder<float>;
template class Autoencoder<double>;

}  // namespace fastcf
